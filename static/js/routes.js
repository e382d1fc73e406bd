/* The sentences of routing: drag to order, Alt and an arrow key, Escape, the focus where the hand is. */
(function () {
  "use strict";

  var last = null;

  function sortable() {
    var list = document.querySelector("ol[data-sort]");
    if (!list || list.dataset.sorted || !window.Sortable) return;
    list.dataset.sorted = "1";
    window.Sortable.create(list, {
      handle: ".grip",
      draggable: ".lf-crit",
      animation: window.matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 120,
      onEnd: function (event) {
        if (event.oldIndex === event.newIndex) return;
        var keys = Array.from(list.querySelectorAll("[data-key-of]")).map(function (row) { return row.dataset.keyOf; });
        window.htmx.ajax("POST", list.dataset.sort, { source: list, target: "#routes-body", swap: "outerHTML", values: { key: keys } });
      }
    });
  }

  function remember(control) {
    var row = control.closest && control.closest(".lf-crit, .lf-edit");
    if (row) last = { row: row.id, name: control.name || "" };
  }

  /* The form or the list was drawn anew, the focus went with it: back to the control, or to the row. */
  function refocus() {
    var row = last && document.getElementById(last.row);
    if (!row || document.activeElement !== document.body) return;
    var wrong = row.querySelector(".is-invalid");
    var same = last.name && row.querySelector("[name='" + last.name + "']");
    var next = wrong || same || row.querySelector("select, input:not([type=hidden])") || row;
    next.focus({ preventScroll: true });
    last = null;
  }

  /* htmx copies attributes from the old rows to the new ones, and the policy forbids a style among them. */
  function plain() {
    document.querySelectorAll("#routes [style]").forEach(function (row) { row.removeAttribute("style"); });
  }

  document.addEventListener("DOMContentLoaded", function () {
    sortable();
    document.body.addEventListener("htmx:beforeRequest", function (event) { remember(event.detail.elt); });
    document.body.addEventListener("htmx:beforeSwap", plain);
    document.body.addEventListener("htmx:afterSettle", function () { sortable(); refocus(); });
    document.addEventListener("click", function (event) {
      var drop = event.target.closest("[data-drop]");
      if (drop) drop.closest(drop.dataset.drop).remove();
    });
    document.addEventListener("keydown", function (event) {
      var open = event.target.closest && event.target.closest(".lf-edit");
      if (event.key === "Escape" && open) {
        event.preventDefault();
        open.querySelector("[data-cancel]").click();
        return;
      }
      var row = event.target.closest && event.target.closest(".lf-crit[data-key-of]");
      if (!row || !event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
      var way = event.key === "ArrowUp" ? "/up/" : "/down/";
      var button = row.querySelector("button[hx-post$='" + way + "']");
      if (button) { event.preventDefault(); button.click(); }
    });
  });
})();

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
        /* The policy forbids a style attribute to be copied on. */
        Array.from(list.children).forEach(function (row) { row.removeAttribute("style"); });
        if (event.oldIndex === event.newIndex) return;
        var keys = Array.from(list.querySelectorAll("[data-key-of]")).map(function (row) { return row.dataset.keyOf; });
        window.htmx.ajax("POST", list.dataset.sort, { source: list, target: "#routes-body", swap: "outerHTML", values: { key: keys } });
      }
    });
  }

  function remember(control) {
    var row = control.closest && control.closest(".lf-crit, .lf-edit");
    last = row ? { row: row.id, name: control.name || "" } : null;
  }

  /* The form or the list was drawn anew: back to the control, or to the row that moved. */
  function refocus() {
    var row = last && document.getElementById(last.row);
    if (!row || row.contains(document.activeElement)) return;
    var wrong = row.querySelector(".is-invalid");
    var same = last.name && row.querySelector("[name='" + last.name + "']");
    var next = wrong || same || row.querySelector("select, input:not([type=hidden])") || row;
    next.focus({ preventScroll: true });
  }

  document.addEventListener("DOMContentLoaded", function () {
    sortable();
    document.body.addEventListener("htmx:beforeRequest", function (event) { remember(event.detail.elt); });
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

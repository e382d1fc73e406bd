/* The agreement's editor: drag to order, put the focus back, close what was never saved. */
(function () {
  "use strict";

  function sortable(root) {
    root.querySelectorAll("ol[data-sort]").forEach(function (list) {
      if (list.dataset.sorted || !window.Sortable) return;
      list.dataset.sorted = "1";
      window.Sortable.create(list, {
        handle: ".grip",
        draggable: ".lf-crit",
        animation: window.matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 120,
        onEnd: function (event) {
          if (event.oldIndex === event.newIndex) return;
          var keys = Array.from(list.querySelectorAll(".lf-crit[data-key-of]")).map(function (row) { return row.dataset.keyOf; });
          window.htmx.ajax("POST", list.dataset.sort, { target: "#agreement-body", swap: "outerHTML", values: { key: keys } });
        }
      });
    });
  }

  document.addEventListener("DOMContentLoaded", function () {
    sortable(document);
    document.body.addEventListener("htmx:afterSettle", function () { sortable(document); });
    document.body.addEventListener("lf:focus", function (event) {
      var row = document.getElementById(event.detail.value || event.detail);
      if (row) row.focus({ preventScroll: false });
    });
    document.addEventListener("click", function (event) {
      var drop = event.target.closest("[data-drop]");
      if (drop) drop.closest(drop.dataset.drop).remove();
    });
    document.addEventListener("keydown", function (event) {
      var row = event.target.closest && event.target.closest(".lf-crit[data-key-of]");
      if (!row || !event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
      var items = Array.from(row.querySelectorAll(".lf-menu button"));
      var wanted = event.key === "ArrowUp" ? "/up/" : "/down/";
      var button = items.find(function (item) { return (item.getAttribute("hx-post") || "").endsWith(wanted); });
      if (button) { event.preventDefault(); button.click(); }
    });
  });
})();

/* The MQL list: one row is open at a time and shows its acts; J and K walk. */
(function () {
  "use strict";
  var list = document.getElementById("mqls");
  if (!list) return;

  function rows() { return Array.from(list.querySelectorAll("[data-row]")); }

  function present() { return list.querySelector("[data-row][aria-current]"); }

  function open(row, scroll) {
    rows().forEach(function (one) {
      var here = one === row;
      if (here) one.setAttribute("aria-current", "true");
      else one.removeAttribute("aria-current");
      var acts = one.querySelector("[data-acts]");
      if (acts) acts.hidden = !here;
    });
    if (row && scroll) row.scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    var all = rows(), now = all.indexOf(present());
    var next = all[Math.min(all.length - 1, Math.max(0, now + by))];
    if (next) open(next, true);
  }

  list.addEventListener("click", function (event) {
    var row = event.target.closest("[data-row]");
    if (row && !event.target.closest("a,button")) open(row);
  });
  list.addEventListener("focusin", function (event) {
    var row = event.target.closest("[data-row]");
    if (row && row !== present()) open(row);
  });
  /* A row that was acted on comes back closed: open it, or the next one when it left. */
  document.addEventListener("htmx:afterSwap", function (event) {
    var id = event.detail.target && event.detail.target.id;
    if (!id || id.indexOf("mql-") !== 0) return;
    open(document.getElementById(id) || rows()[0]);
  });
  window.LF.keys.on("j", function () { step(1); }, "next");
  window.LF.keys.on("k", function () { step(-1); }, "previous");
  open(rows()[0]);
})();

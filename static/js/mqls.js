/* The MQL list: one row is open at a time and shows its acts; J and K walk, X ticks, and what is ticked
   gets one act together. */
(function () {
  "use strict";
  var list = document.getElementById("mqls");
  if (!list) return;
  var bar = document.getElementById("mql-chosen");

  function rows() { return Array.from(list.querySelectorAll("[data-row]")); }

  function present() { return list.querySelector("[data-row][aria-current]"); }

  function ticks() { return Array.from(list.querySelectorAll("[data-choose]")); }

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

  /* While rows are ticked the keys of the acts mean all of them. */
  function count() {
    if (!bar) return;
    var n = ticks().filter(function (one) { return one.checked; }).length;
    bar.hidden = !n;
    bar.querySelector("[data-chosen-count]").textContent = n + " chosen";
    bar.querySelectorAll("[data-chosen-act]").forEach(function (button) {
      if (n) button.setAttribute("data-key", button.getAttribute("data-chosen-act"));
      else button.removeAttribute("data-key");
    });
    list.querySelectorAll("[data-acts] button[data-key],[data-acts] button[data-own-key]").forEach(function (button) {
      var key = button.getAttribute("data-key") || button.getAttribute("data-own-key");
      button.removeAttribute(n ? "data-key" : "data-own-key");
      button.setAttribute(n ? "data-own-key" : "data-key", key);
    });
  }

  function tickAll(on) {
    ticks().forEach(function (one) { one.checked = on; });
    count();
  }

  list.addEventListener("change", function (event) {
    if (event.target.matches("[data-choose]")) count();
  });
  list.addEventListener("click", function (event) {
    var row = event.target.closest("[data-row]");
    if (row && !event.target.closest("a,button,input")) open(row);
  });
  list.addEventListener("focusin", function (event) {
    var row = event.target.closest("[data-row]");
    if (row && row !== present()) open(row);
  });
  if (bar) {
    bar.querySelector("[data-choose-all]").addEventListener("click", function () { tickAll(true); });
    bar.querySelector("[data-choose-none]").addEventListener("click", function () { tickAll(false); });
  }
  /* A row that was acted on comes back closed: open it, or the next one when it left. Who stood in it stands
     there again. */
  var stood = false, next = null;
  function ours(event) { return event.detail.target && event.detail.target.matches("[data-row]"); }
  document.addEventListener("htmx:beforeSwap", function (event) {
    if (!ours(event)) return;
    var all = rows(), at = all.indexOf(event.detail.target);
    stood = event.detail.target.contains(document.activeElement);
    next = all[at + 1] || all[at - 1];
  });
  /* Of a row that left no swap is told: the request is. */
  document.addEventListener("htmx:afterRequest", function (event) {
    if (!ours(event) || !event.detail.successful) return;
    var row = document.getElementById(event.detail.target.id) || next, link = row && row.querySelector("a.who");
    open(row);
    count();
    if (stood && link) link.focus({ preventScroll: true });
    stood = false;
  });
  window.LF.keys.on("j", function () { step(1); }, "next");
  window.LF.keys.on("k", function () { step(-1); }, "previous");
  window.LF.keys.on("x", function () {
    var row = present(), tick = row && row.querySelector("[data-choose]");
    if (!tick) return false;
    tick.checked = !tick.checked;
    count();
  }, "choose");
  open(rows()[0]);
  count();
})();

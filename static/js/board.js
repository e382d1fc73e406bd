/* The board: live row by row, chosen leads stay chosen; how many and who gets them; J and K walk, X chooses. */
(function () {
  "use strict";
  var EVERY = 15000;
  var board = document.getElementById("board");
  if (!board) return;
  var seen = new Map();

  function form() { return document.getElementById("give"); }
  function boxes() { return Array.from(board.querySelectorAll("input[name=handoff]")); }

  function say() {
    var give = form();
    if (!give) return;
    var to = give.elements.to, button = give.querySelector("[data-give]");
    var n = boxes().filter(function (box) { return box.checked; }).length;
    give.querySelector("[data-chosen]").textContent = n ? n + " chosen." : "None chosen yet.";
    give.querySelector("[data-these]").textContent = n === 1 ? "it" : n ? "these " + n : "them";
    button.textContent = n ? "Give " + n + " to " + to.selectedOptions[0].dataset.name : "Give";
    button.disabled = !n;
  }

  function step(by) {
    var all = boxes(), at = all.indexOf(document.activeElement);
    if (all.length) all[Math.min(all.length - 1, Math.max(0, at + by))].focus();
  }

  /* What the server said last, so that a clock counted on in the page is no difference. */
  function note(root) {
    root.querySelectorAll("[data-part]").forEach(function (part) { seen.set(part.id, part.outerHTML); });
  }

  function replace(old, fresh) {
    var box = old.querySelector("input[name=handoff]"), next = fresh.querySelector("input[name=handoff]");
    if (box && next) next.checked = box.checked;
    old.replaceWith(fresh);
    window.htmx.process(fresh);
  }

  /* A part in which somebody is at work stays as it is; it comes with the next look. */
  function busy(part) { return part.contains(document.activeElement); }

  function rows(list, wanted) {
    var fresh = Array.from(wanted.children), ids = fresh.map(function (row) { return row.id; });
    Array.from(list.children).forEach(function (row) {
      var box = row.querySelector("input[name=handoff]");
      if (ids.indexOf(row.id) < 0 && !busy(row) && !(box && box.checked)) row.remove();
    });
    var here = list.firstElementChild;
    fresh.forEach(function (row) {
      var old = document.getElementById(row.id);
      if (!old) {
        list.insertBefore(document.importNode(row, true), here);
        window.htmx.process(document.getElementById(row.id));
      } else if (old === here) {
        here = here.nextElementSibling;
      } else if (!busy(old)) {
        list.insertBefore(old, here);
      }
    });
  }

  function take(text) {
    var fresh = new DOMParser().parseFromString(text, "text/html");
    if (!fresh.getElementById("board")) throw new Error("no board");
    /* The list of what is due has come or gone altogether: the form with it. */
    if (Boolean(fresh.getElementById("give")) !== Boolean(form())) {
      var card = document.getElementById("urgent");
      if (!busy(card)) replace(card, document.importNode(fresh.getElementById("urgent"), true));
    }
    fresh.querySelectorAll("[data-rows]").forEach(function (wanted) {
      var list = document.getElementById(wanted.id);
      if (list) rows(list, wanted);
    });
    fresh.querySelectorAll("[data-part]").forEach(function (part) {
      var old = document.getElementById(part.id), html = part.outerHTML;
      if (!old || seen.get(part.id) === html || busy(old)) return;
      seen.set(part.id, html);
      replace(old, document.importNode(part, true));
    });
    say();
  }

  function words(text, late) {
    var sign = document.querySelector("[data-live-words]");
    if (!sign) return;
    sign.textContent = text;
    sign.parentNode.classList.toggle("late", late);
    sign.parentNode.classList.toggle("ok", !late);
  }

  function look() {
    if (document.hidden) return;
    fetch(board.dataset.liveFrom, { credentials: "same-origin", headers: { Accept: "text/html" } })
      .then(function (answer) { if (!answer.ok) throw new Error(answer.status); return answer.text(); })
      .then(function (text) { take(text); words("Live", false); })
      .catch(function () { words("Reconnecting", true); });
  }

  document.addEventListener("change", function (event) {
    if (event.target.closest("#give")) say();
    /* A day was chosen: then it is until that day. */
    if (event.target.name === "until" && event.target.value) event.target.form.querySelector("[name=day][value=date]").checked = true;
  });
  window.addEventListener("pageshow", say);
  document.addEventListener("visibilitychange", look);
  window.setInterval(look, EVERY);
  window.LF.board = { look: look };
  window.LF.keys.on("j", function () { step(1); }, "next");
  window.LF.keys.on("k", function () { step(-1); }, "previous");
  window.LF.keys.on("x", function () {
    var all = boxes(), box = document.activeElement;
    if (all.indexOf(box) < 0) { if (all.length) all[0].focus(); return; }
    box.checked = !box.checked;
    say();
  }, "choose a lead");
  note(board);
  say();
})();

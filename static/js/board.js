/* The board: how many are chosen and who gets them; J and K walk the list, X chooses. */
(function () {
  "use strict";
  var form = document.getElementById("give");
  if (!form) return;
  var boxes = Array.from(form.querySelectorAll("input[name=handoff]"));
  var to = form.elements.to, button = form.querySelector("[data-give]");

  function say() {
    var n = boxes.filter(function (box) { return box.checked; }).length;
    form.querySelector("[data-chosen]").textContent = n ? n + " chosen." : "None chosen yet.";
    form.querySelector("[data-these]").textContent = n === 1 ? "it" : n ? "these " + n : "them";
    button.textContent = n ? "Give " + n + " to " + to.selectedOptions[0].dataset.name : "Give";
    button.disabled = !n;
  }

  function step(by) {
    var at = boxes.indexOf(document.activeElement);
    boxes[Math.min(boxes.length - 1, Math.max(0, at + by))].focus();
  }

  form.addEventListener("change", say);
  window.addEventListener("pageshow", say);
  window.LF.keys.on("j", function () { step(1); }, "next");
  window.LF.keys.on("k", function () { step(-1); }, "previous");
  window.LF.keys.on("x", function () {
    var box = document.activeElement;
    if (boxes.indexOf(box) < 0) { boxes[0].focus(); return; }
    box.checked = !box.checked;
    say();
  }, "choose a lead");
  say();
})();

/* The forms of the acts on a handoff, in the queue and on the lead's page: which one is open, the reason
   that is chosen, Enter and Escape. The server decides everything. */
(function () {
  "use strict";

  var LF = window.LF;
  var $ = function (selector, root) { return (root || document).querySelector(selector); };
  var $$ = function (selector, root) { return Array.from((root || document).querySelectorAll(selector)); };

  function openForm() { return $("form.lf-reasons:not([hidden])"); }

  function close(form) {
    if (!form) return;
    form.hidden = true;
    $$('[data-act="' + form.id + '"]').forEach(function (button) { button.setAttribute("aria-expanded", "false"); });
    if (form.contains(document.activeElement) || document.activeElement === document.body) back(form);
  }

  /* Who goes back stands where he stood: on the row or the button from which the form was opened. One that is
     not seen takes no focus: the row of buttons and the one at a phone's foot are both in the page. */
  function back(form) {
    var from = [form.lfFrom].concat($$('[data-act="' + form.id + '"]')).find(function (one) {
      return one && one.isConnected && one.checkVisibility();
    });
    if (from) from.focus({ preventScroll: true });
  }

  /* `stay`: a number that is tapped twice is called twice; the form stays open. */
  function toggle(id, stay) {
    var form = document.getElementById(id), other = openForm();
    if (other && other !== form) close(other);
    if (!form) return;
    if (!form.hidden) { if (!stay) close(form); return; }
    form.hidden = false;
    form.lfFrom = document.activeElement === document.body ? null : document.activeElement;
    $$('[data-act="' + id + '"]').forEach(function (button) { button.setAttribute("aria-expanded", "true"); });
    form.scrollIntoView({ block: "nearest" });
    var first = $("[data-chip],button.lf-chip", form) ? null : $("input:not([type=hidden]),select", form);
    if (first) first.focus();
  }

  function choose(chip) {
    var form = chip.closest("form");
    if (chip.getAttribute("aria-disabled") === "true") return;
    $$("[data-chip]", form).forEach(function (one) { one.setAttribute("aria-pressed", String(one === chip)); });
    form.elements[chip.dataset.chip].value = chip.dataset.value;
    if (!form.hasAttribute("data-reasons")) return;
    var date = form.elements.date, note = form.elements.note, needed = Number(chip.dataset.note || 0);
    date.hidden = date.disabled = !chip.hasAttribute("data-date");
    date.required = !date.disabled;
    note.required = needed > 0;
    if (needed) note.minLength = needed; else note.removeAttribute("minlength");
    note.placeholder = needed ? "Note to marketing, " + needed + " characters or more" : "Note to marketing (optional)";
    $("button[type=submit]", form).disabled = false;
    $("[data-says-here]", form).textContent = chip.dataset.says + " Nothing is sent for 10 minutes, so you can undo.";
    if (date.required) date.focus();
    else if (needed) note.focus();
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-act]"), chip = event.target.closest("[data-chip]");
    if (button) toggle(button.dataset.act, button.hasAttribute("href"));
    else if (chip) choose(chip);
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && openForm() && !$("dialog[open]")) { event.preventDefault(); close(openForm()); }
  });

  LF.keys.on("Enter", function (event) {
    var form = openForm();
    /* The row that is open is no link of its own here: the form below asks about it. */
    if (!form || (event.target.closest && event.target.closest("a:not([aria-current=true]),button:not([data-chip]):not([data-act])"))) return false;
    var send = $("button[type=submit]:not(.lf-chip)", form);
    if (!send || send.disabled) return false;
    /* A click, so that the button's own value goes along. */
    send.click();
    return true;
  });

  LF.openForm = openForm;

  /* The lead's page: after an act the page is as the server has it now. */
  document.body.addEventListener("handoff-changed", function () {
    var again = document.getElementById("lead-again");
    if (again) window.htmx.ajax("GET", location.href, { source: again, target: "#main", select: "#main", swap: "outerHTML" }).then(function () {
      if (document.activeElement === document.body) document.getElementById("main").focus({ preventScroll: true });
    });
  });
})();

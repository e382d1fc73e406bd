/* The queue in the page: which row is open, the panel's forms, and what others change meanwhile.
   The server decides everything; this file only asks for fragments. */
(function () {
  "use strict";

  var LF = window.LF;
  var $ = function (selector, root) { return (root || document).querySelector(selector); };
  var $$ = function (selector, root) { return Array.from((root || document).querySelectorAll(selector)); };
  var EVERY = 4000, UNDO = 600000;
  var acts = [];

  var queue = function () { return document.getElementById("queue"); };
  var rows = function () { return $$("#queue-list a.lf-row"); };
  var current = function () { return $("#queue-list a.lf-row[aria-current]"); };
  var openId = function () { return Number(document.getElementById("queue-open").value) || 0; };
  var wide = function () { return window.matchMedia("(min-width:1101px)").matches; };

  /* Rows ------------------------------------------------------------------------------------------- */
  function openRow(row) {
    if (!row) return;
    if (!wide()) { location.assign(row.href); return; }
    var before = current();
    if (before) before.removeAttribute("aria-current");
    row.setAttribute("aria-current", "true");
    document.getElementById("queue-open").value = row.dataset.id;
    row.scrollIntoView({ block: "nearest" });
    history.replaceState(null, "", row.href);
    window.htmx.ajax("GET", row.dataset.panel, { source: row, target: "#queue-panel", swap: "outerHTML" });
  }

  function step(by) {
    var all = rows(), at = all.indexOf(current());
    openRow(all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))]);
  }

  function after(id) {
    var all = rows(), at = all.findIndex(function (row) { return Number(row.dataset.id) === id; });
    var next = at < 0 ? all[0] : all[at + 1] || all[at - 1];
    return next && Number(next.dataset.id) !== id ? next.dataset.id : "";
  }

  document.addEventListener("click", function (event) {
    var row = event.target.closest("#queue-list a.lf-row");
    if (!row || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || !wide()) return;
    event.preventDefault();
    openRow(row);
  });

  function refresh(open) {
    var place = queue(), single = place.dataset.single === "1";
    if (single && !open) { location.assign("/queue/?tab=" + place.dataset.tab); return; }
    var top = document.getElementById("queue-list").scrollTop;
    var url = place.dataset.fresh + "?tab=" + place.dataset.tab + "&later=" + place.dataset.later +
      "&open=" + (open || "") + "&single=" + place.dataset.single;
    window.htmx.ajax("GET", url, { source: place, target: "#queue", swap: "outerHTML" }).then(function () {
      document.getElementById("queue-list").scrollTop = top;
      var row = current();
      if (row) { row.scrollIntoView({ block: "nearest" }); history.replaceState(null, "", row.href); }
    });
  }

  /* An act was done, here or by the toast's Undo: build the page anew, the next row opens by itself. */
  document.body.addEventListener("handoff-changed", function (event) {
    var id = Number(event.detail.id), act = event.detail.action, open = openId();
    if (act === "undo") acts = acts.filter(function (one) { return one.id !== id; });
    else if (act !== "open") acts.push({ id: id, at: LF.now() });
    if (act === "undo" || act === "claim" || act === "wake" || act === "open") refresh(id);
    else refresh(open === id ? after(id) : open);
  });

  function undo() {
    var last = acts[acts.length - 1];
    if (document.querySelector('[data-undo][data-key="z"]') || !last || LF.now() - last.at > UNDO) return false;
    window.htmx.ajax("POST", queue().dataset.undo.replace("/0/", "/" + last.id + "/"), { source: queue(), swap: "none" });
    return true;
  }

  /* The panel's forms -------------------------------------------------------------------------------- */
  function openForm() { return $("#queue-panel form.lf-reasons:not([hidden])"); }

  function close(form) {
    if (!form) return;
    form.hidden = true;
    $$('[data-act="' + form.id + '"]').forEach(function (button) { button.setAttribute("aria-expanded", "false"); });
    if (form.contains(document.activeElement)) document.activeElement.blur();
  }

  function toggle(id) {
    var form = document.getElementById(id), other = openForm();
    if (other && other !== form) close(other);
    if (!form) return;
    if (!form.hidden) { close(form); return; }
    form.hidden = false;
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
    if (button) toggle(button.dataset.act);
    else if (chip) choose(chip);
    else if (event.target.closest("[data-refresh]")) refresh(openId());
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && openForm() && !$("dialog[open]")) { event.preventDefault(); close(openForm()); }
  });

  LF.keys.on("j", function () { step(1); }, "next");
  LF.keys.on("k", function () { step(-1); }, "previous");
  LF.keys.on("z", undo, "undo the last act, 10 minutes");
  LF.keys.on("Enter", function (event) {
    var form = openForm();
    if (!form || (event.target.closest && event.target.closest("a,button:not([data-chip]):not([data-act])"))) return false;
    var send = $("button[type=submit]:not(.lf-chip)", form);
    if (!send || send.disabled) return false;
    form.requestSubmit(send);
    return true;
  });

  /* What others do ------------------------------------------------------------------------------------ */
  function poll() {
    if (!document.hidden && window.htmx) window.htmx.trigger("#queue-poll", "poll");
  }
  setInterval(poll, EVERY);
  document.addEventListener("visibilitychange", poll);

  document.body.addEventListener("queue-seen", function (event) {
    document.getElementById("queue-since").value = event.detail.at;
  });

  /* Somebody was faster: look at once what has become of the row. */
  document.addEventListener("htmx:responseError", function (event) {
    if (event.detail.xhr.status === 409) poll();
  });

  /* The lead that is open was changed by somebody else. What is being typed stays. */
  document.body.addEventListener("queue-open-changed", function (event) {
    var form = openForm(), id = Number(event.detail.id), place = $("#queue-panel");
    if (!place || Number(place.dataset.id) !== id) return;
    if (form && $$("input:not([type=hidden]),textarea", form).some(function (one) { return one.value && one.value !== one.defaultValue; })) return;
    var row = rows().find(function (one) { return Number(one.dataset.id) === id; });
    if (row) { row.setAttribute("aria-current", "true"); window.htmx.ajax("GET", row.dataset.panel, { source: row, target: "#queue-panel", swap: "outerHTML" }); }
    else refresh(after(id));
  });

  /* Live or not: the server was last seen at … */
  var seen = LF.now();
  function clock(ms) {
    var zone = $('meta[name="lf-zone"]');
    return new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: zone ? zone.content : undefined }).format(ms);
  }
  function live(words) { var node = $("[data-live-words]"); if (node && node.textContent !== words) node.textContent = words; }
  ["htmx:sendError", "htmx:timeout"].forEach(function (name) {
    document.addEventListener(name, function () { live("Reconnecting, last seen " + clock(seen)); });
  });
  document.addEventListener("htmx:afterOnLoad", function () { seen = LF.now(); live("Live"); });
})();

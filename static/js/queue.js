/* The queue in the page: which row is open, the panel's forms, and what others change meanwhile.
   The server decides everything; this file only asks for fragments. */
(function () {
  "use strict";

  var LF = window.LF;
  var $ = function (selector, root) { return (root || document).querySelector(selector); };
  var $$ = function (selector, root) { return Array.from((root || document).querySelectorAll(selector)); };
  var EVERY = 4000, UNDO = 600000, SLOW = 150;
  /* Without the usual moment before what is new works: a key may come at once. */
  var AT_ONCE = "outerHTML settle:0ms";
  var acts = [];

  var queue = function () { return document.getElementById("queue"); };
  var ROW = "#queue-list a[data-panel]";
  var rows = function () { return $$(ROW); };
  var current = function () { return $(ROW + "[aria-current]"); };
  var openId = function () { return Number(document.getElementById("queue-open").value) || 0; };
  var wide = function () { return window.matchMedia("(min-width:1101px)").matches; };

  /* Whoever types faster than the server answers acts on the lead that they mean: while an act or a panel is
     under way keys wait, and go on in their order when the right lead is open. */
  var under = 0, typed = [], KEPT_KEYS = 12;
  function begin() { under += 1; }
  function end() {
    under = Math.max(0, under - 1);
    if (under) return;
    var keys = typed;
    typed = [];
    while (keys.length && !under) {
      var event = keys.shift();
      (document.activeElement || document.body).dispatchEvent(new KeyboardEvent("keydown", { key: event, bubbles: true, cancelable: true }));
    }
    typed = keys.concat(typed);
  }

  function inField(node) { return node.closest && node.closest("input:not([type=checkbox]),textarea,select,dialog"); }
  document.addEventListener("keydown", function (event) {
    if (!under || !event.isTrusted || event.ctrlKey || event.metaKey || event.altKey || inField(event.target)) return;
    if (event.key === "Escape") { typed = []; return; }
    if (event.key.length !== 1 && event.key !== "Enter") return;
    if ((event.key === "j" || event.key === "k") && !typed.length && !acting && !busy) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (typed.length < KEPT_KEYS) typed.push(event.key);
  }, true);

  /* An act counts until the list stands as it is then. */
  var acting = 0;
  function isAct(event) { return event.detail.requestConfig && event.detail.requestConfig.verb === "post" && $("#queue").contains(event.detail.elt); }
  document.addEventListener("htmx:beforeSend", function (event) {
    var xhr = event.detail.xhr, target = event.detail.target;
    if (isAct(event)) { xhr.lfAct = true; acting += 1; begin(); }
    else if (event.detail.elt.id === "queue-poll") xhr.lfAge = age;
    else if (target && target.id === "queue-panel") xhr.lfTurn = turn += 1;
  });
  document.addEventListener("htmx:afterRequest", function (event) {
    var xhr = event.detail.xhr;
    if (!xhr || !xhr.lfAct) return;
    xhr.lfAct = false;
    acting -= 1;
    /* It was refused: the keys that were meant for the next lead must not meet this one. */
    if (!event.detail.successful) typed = [];
    end();
  });

  /* An answer about a list that was made anew since, or about a lead that was passed by, is dropped. */
  var age = 0, turn = 0, busy = 0;
  document.addEventListener("htmx:beforeSwap", function (event) {
    var xhr = event.detail.xhr;
    if ((xhr.lfAge !== undefined && xhr.lfAge !== age) || (xhr.lfTurn && xhr.lfTurn !== turn)) event.detail.shouldSwap = false;
  });

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
    var panel = document.getElementById("queue-panel");
    setTimeout(function () { if (panel.isConnected) panel.classList.add("lf-loading"); }, SLOW);
    load(row);
  }

  function load(row) {
    begin();
    window.htmx.ajax("GET", row.dataset.panel, { source: row, target: "#queue-panel", swap: AT_ONCE })
      .then(land).catch(function () { typed = []; }).then(end);
  }

  /* Who stood on something that has left stands on the row that is open, and on a phone on its lead. */
  function land() {
    var stood = document.activeElement;
    if (stood && stood !== document.body && !stood.matches(ROW)) return;
    var to = wide() && current() || document.getElementById("queue-panel");
    if (to && to !== stood) to.focus({ preventScroll: true });
  }

  function step(by) {
    var all = rows(), at = all.indexOf(current()), stood = document.activeElement;
    var row = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))];
    openRow(row);
    if (row && wide() && (stood === document.body || all.indexOf(stood) >= 0)) row.focus({ preventScroll: true });
  }

  /* The row that opens when these have left: the next one below the last of them, else the one above. */
  function after(ids) {
    var all = rows(), has = function (row) { return ids.indexOf(Number(row.dataset.id)) >= 0; };
    var at = -1;
    all.forEach(function (row, i) { if (has(row)) at = i; });
    var next = at < 0 ? all[0] : all[at + 1] || all.slice(0, at).filter(function (row) { return !has(row); }).pop();
    return next && !has(next) ? next.dataset.id : "";
  }

  document.addEventListener("click", function (event) {
    var row = event.target.closest(ROW);
    if (!row || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || !wide()) return;
    event.preventDefault();
    openRow(row);
  });

  /* While the list is made anew nothing is asked about the old one. */
  function hush() { busy += 1; age += 1; turn += 1; }

  function refresh(open) {
    hush();
    var place = queue(), single = place.dataset.single === "1";
    if (single && !open) { location.assign("/queue/?" + place.dataset.here); return; }
    var top = document.getElementById("queue-list").scrollTop;
    var url = place.dataset.fresh + "?" + place.dataset.here + "&open=" + (open || "") + "&single=" + place.dataset.single;
    begin();
    window.htmx.ajax("GET", url, { source: place, target: "#queue", swap: AT_ONCE }).then(function () {
      document.getElementById("queue-list").scrollTop = top;
      var row = current();
      if (row) { row.scrollIntoView({ block: "nearest" }); history.replaceState(null, "", row.href); }
      land();
    }).catch(function () { typed = []; }).then(function () { busy -= 1; end(); });
  }

  /* An act was done, here or by the toast's Undo: build the page anew, the next row opens by itself. */
  document.body.addEventListener("handoff-changed", function (event) {
    var id = Number(event.detail.id), act = event.detail.action, open = openId();
    var ids = (event.detail.ids || [id]).map(Number);
    if (act === "reassign") { chosen = chosen.filter(function (one) { return ids.indexOf(Number(one)) < 0; }); choice(); }
    if (act === "undo") acts = acts.filter(function (one) { return ids.indexOf(one.id) < 0; });
    else if (act !== "open") ids.forEach(function (one) { acts.push({ id: one, at: LF.now() }); });
    if (act === "undo" || act === "claim" || act === "wake" || act === "open") refresh(id);
    else refresh(ids.indexOf(open) >= 0 ? after(ids) : open);
  });

  function undo() {
    var last = acts[acts.length - 1];
    if (document.querySelector('[data-undo][data-key="z"]') || !last || LF.now() - last.at > UNDO) return false;
    window.htmx.ajax("POST", queue().dataset.undo.replace("/0/", "/" + last.id + "/"), { source: queue(), swap: "none" });
    return true;
  }

  document.addEventListener("click", function (event) {
    if (event.target.closest("[data-refresh]")) refresh(openId());
    else if (event.target.closest("[data-filter-close]")) closeFilter();
  });

  /* Everybody of the company whose card is open. */
  LF.keys.on("A", function () {
    var row = current(), card = row && row.closest(".lf-group"), all = card && $("[data-accept-all]", card);
    if (!all) return false;
    all.click();
    return true;
  }, "accept all of this company");

  /* Several at once: X chooses the open row, shift and X all that are shown; the bar asks who takes them. */
  var chosen = [];
  var picks = function () { return $$("#queue-list .lf-choose"); };

  function choice() {
    var shown = picks().map(function (box) { return box.value; });
    chosen = chosen.filter(function (id) { return shown.indexOf(id) >= 0; });
    picks().forEach(function (box) { box.checked = chosen.indexOf(box.value) >= 0; });
    var bar = document.getElementById("queue-chosen");
    if (!bar) return;
    bar.hidden = !chosen.length;
    if (!chosen.length || !$("form", bar)) return;
    $("[data-chosen]", bar).textContent = chosen.length + " chosen.";
    $("[data-these]", bar).textContent = chosen.length === 1 ? "it" : "these " + chosen.length;
  }

  function pick(ids, on) {
    chosen = chosen.filter(function (id) { return ids.indexOf(id) < 0; }).concat(on ? ids : []);
    choice();
    var bar = document.getElementById("queue-chosen");
    if (chosen.length && !$("form", bar)) window.htmx.ajax("GET", queue().dataset.give, { source: bar, target: bar, swap: "innerHTML" }).then(choice);
  }

  document.addEventListener("change", function (event) {
    if (event.target.matches(".lf-choose")) pick([event.target.value], event.target.checked);
  });
  document.addEventListener("htmx:afterSettle", function () { if (chosen.length) choice(); });
  document.addEventListener("click", function (event) { if (event.target.closest("[data-choose-none]")) { chosen = []; choice(); } });

  LF.keys.on("x", function () {
    var row = current(), box = row && $(".lf-choose", row.parentNode);
    if (!box) return false;
    pick([box.value], !box.checked);
    return true;
  }, "choose, to give several at once");
  LF.keys.on("X", function () {
    var all = picks().map(function (box) { return box.value; });
    if (!all.length) return false;
    pick(all, chosen.length < all.length);
    return true;
  }, "choose all, or none");
  LF.keys.on("g", function () {
    var to = chosen.length && document.getElementById("queue-give-to");
    if (!to) return false;
    to.focus();
    return true;
  });

  /* The filter --------------------------------------------------------------------------------------- */
  function closeFilter() {
    document.getElementById("queue-filter").replaceChildren();
    var from = $("[hx-target='#queue-filter']");
    if (from) from.focus();
  }

  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.detail.target.id !== "queue-filter") return;
    var first = $("#queue-filter input:not([type=hidden])");
    if (first) first.focus();
  });

  document.addEventListener("keydown", function (event) {
    var form = event.target.closest && event.target.closest("[data-filter]");
    if (!form) return;
    if (event.key === "Escape") { event.preventDefault(); closeFilter(); }
    else if (event.key === "Enter" && !event.target.closest("a,button")) { event.preventDefault(); form.requestSubmit(); }
  });

  document.addEventListener("submit", function (event) {
    if (event.target.matches("[data-filter]")) $$("select", event.target).forEach(function (field) { if (!field.value) field.disabled = true; });
  });

  /* Another tab takes a moment: rows of the same height stand in for what comes. */
  document.addEventListener("click", function (event) {
    var link = event.target.closest("#queue-tabs a[data-tab]"), bones = document.getElementById("queue-loading");
    if (link && !event.metaKey && !event.ctrlKey) hush();
    if (!link || !bones || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    setTimeout(function () {
      var list = document.getElementById("queue-list");
      if (list) list.replaceChildren(bones.content.cloneNode(true));
    }, SLOW);
  });
  window.addEventListener("pageshow", function (event) { if (event.persisted) location.reload(); });

  LF.keys.on("j", function () { step(1); }, "next");
  LF.keys.on("k", function () { step(-1); }, "previous");
  LF.keys.on("z", undo, "undo the last act, 10 minutes");
  /* What others do ------------------------------------------------------------------------------------ */
  function poll() {
    if (!busy && !document.hidden && window.htmx) window.htmx.trigger("#queue-poll", "poll");
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
    var form = LF.openForm(), id = Number(event.detail.id), place = $("#queue-panel");
    if (!place || Number(place.dataset.id) !== id) return;
    if (form && $$("input:not([type=hidden]),textarea", form).some(function (one) { return one.value && one.value !== one.defaultValue; })) return;
    var row = rows().find(function (one) { return Number(one.dataset.id) === id; });
    if (row) { row.setAttribute("aria-current", "true"); load(row); }
    else refresh(after([id]));
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

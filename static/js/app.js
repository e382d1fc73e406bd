/* LeadFlow in the page: clocks, keys, toasts, dialogs, and what happens when the server says no.
   Everything hangs on data attributes; other files use window.LF. */
(function () {
  "use strict";

  var LF = (window.LF = window.LF || {});
  var $ = function (selector, root) { return (root || document).querySelector(selector); };
  var $$ = function (selector, root) { return Array.from((root || document).querySelectorAll(selector)); };
  var started = Date.now();
  var meta = $('meta[name="lf-now"]');
  var skew = meta ? new Date(meta.content).getTime() - started : 0;

  /* Clocks: the server wrote the words, the page keeps them fresh by the server's time. ------------- */
  LF.now = function () { return Date.now() + skew; };

  function span(ms) {
    var minutes = Math.floor(Math.abs(ms) / 60000);
    if (minutes < 60) return minutes + " min";
    var hours = Math.floor(minutes / 60), rest = minutes % 60;
    if (hours < 24) return hours + " h" + (rest ? " " + rest + " min" : "");
    var days = Math.floor(hours / 24);
    return days + (days === 1 ? " day" : " days");
  }

  function dueWords(left, far) {
    if (left <= 0) return span(left) + " late";
    if (left < 3600000) return Math.max(1, Math.floor(left / 60000)) + " min left";
    if (left < 7200000) return span(left);
    return far;
  }

  function setText(node, text) { if (node && node.textContent !== text) node.textContent = text; }

  function tick() {
    var now = LF.now();
    $$("[data-due]").forEach(function (clock) {
      var due = new Date(clock.dataset.due).getTime();
      var late = due <= now;
      var soon = !late && clock.dataset.warn && new Date(clock.dataset.warn).getTime() <= now;
      setText($("[data-words]", clock) || clock, dueWords(due - now, clock.dataset.far || ""));
      if (late && !clock.classList.contains("late")) {
        var use = $("use", clock);
        if (use) use.setAttribute("href", use.getAttribute("href").replace(/#.*/, "#i-alert-triangle"));
      }
      clock.classList.toggle("late", late);
      clock.classList.toggle("soon", Boolean(soon));
    });
    $$("time[data-ago]").forEach(function (node) {
      var gone = now - new Date(node.dateTime).getTime();
      if (gone >= 3600000) node.removeAttribute("data-ago");
      else setText(node, gone < 60000 ? "just now" : Math.floor(gone / 60000) + " min ago");
    });
    $$("progress[data-from][data-to]").forEach(function (bar) {
      var from = new Date(bar.dataset.from).getTime(), to = new Date(bar.dataset.to).getTime();
      bar.max = Math.max(1, to - from);
      bar.value = Math.min(bar.max, Math.max(0, to - now));
    });
  }
  setInterval(tick, 5000);

  /* Toasts ------------------------------------------------------------------------------------------ */
  var box = function () { return document.getElementById("toasts"); };

  function keep(toast) {
    if (toast.dataset.seen) return;
    toast.dataset.seen = "1";
    if (toast.dataset.once) $$("[data-once=" + toast.dataset.once + "]", box()).forEach(function (old) { if (old !== toast) old.remove(); });
    var undo = $("[data-undo]", toast), back = undo && undo.getAttribute("hx-post");
    $$("[data-toast] [data-undo]", box()).forEach(function (old) {
      if (toast.contains(old)) return;
      old.removeAttribute("data-key");
      /* The same act told twice offers one way back. */
      if (back && old.getAttribute("hx-post") === back) old.closest("[data-toast]").remove();
    });
    var all = $$("[data-toast]", box());
    all.slice(0, Math.max(0, all.length - 3)).forEach(function (old) { old.remove(); });
    if (!toast.hasAttribute("data-stay")) {
      var life = $("[data-undo]", toast) ? 20000 : 7000;
      (function wait() {
        setTimeout(function () {
          if (toast.matches(":hover") || toast.contains(document.activeElement)) { life = 3000; wait(); }
          else toast.remove();
        }, life);
      })();
    }
  }

  LF.toast = function (text, options) {
    options = options || {};
    var toast = document.createElement("div");
    toast.className = "lf-toast" + (options.late ? " late" : "");
    toast.setAttribute("data-toast", "");
    if (options.late) toast.setAttribute("data-stay", "");
    var words = document.createElement("span");
    words.className = "grow";
    words.textContent = text;
    var close = document.createElement("button");
    close.type = "button";
    close.className = "x";
    close.setAttribute("data-toast-close", "");
    close.textContent = "Close";
    toast.append(words, close);
    box().append(toast);
    keep(toast);
    return toast;
  };

  document.addEventListener("lf:toast", function (event) {
    LF.toast(event.detail.text || event.detail.value, event.detail);
  });

  /* Who logged in again in another tab goes on here: the proof of this browser is the cookie's of now. */
  document.addEventListener("htmx:configRequest", function (event) {
    var now = /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie), detail = event.detail;
    if (!now) return;
    detail.headers["X-CSRFToken"] = now[1];
    if (detail.parameters && detail.parameters.has && detail.parameters.has("csrfmiddlewaretoken")) detail.parameters.set("csrfmiddlewaretoken", now[1]);
  });

  /* So long a plain form counts as under way, unless another page comes sooner. */
  var SENT = 5000;

  /* htmx: what happens when the server says no ------------------------------------------------------- */
  var WORDS = {
    0: "No connection. What you typed is still here; try again in a moment.",
    401: "You are logged out. Log in again; what you typed is still here.",
    403: "That is not yours to do; nothing has changed.",
    404: "It is not here any more.",
    409: "Somebody was faster; nothing has changed.",
    413: "That file is too large.",
    429: "Too many tries; wait a minute.",
    500: "Something broke on our side; nothing was half done.",
  };

  document.addEventListener("htmx:beforeSwap", function (event) {
    var detail = event.detail, status = detail.xhr.status;
    if (status < 400) return;
    /* A form with its errors (422), or an answer that says where it belongs, is shown as it is. */
    if (status === 422 || detail.xhr.getResponseHeader("HX-Retarget") || detail.xhr.getResponseHeader("HX-Reswap")) {
      detail.shouldSwap = true;
      detail.isError = false;
      return;
    }
    detail.shouldSwap = false;
    var parsed = new DOMParser().parseFromString(detail.xhr.responseText || "", "text/html");
    var found = $$("[data-toast]", parsed);
    if (!found.length) { LF.toast(WORDS[status] || WORDS[500], { late: true }); return; }
    found.forEach(function (toast) {
      var mine = document.importNode(toast, true);
      box().append(mine);
      keep(mine);
      if (window.htmx) window.htmx.process(mine);
    });
  });

  ["htmx:sendError", "htmx:timeout"].forEach(function (name) {
    document.addEventListener(name, function () { offline(true); });
  });
  document.addEventListener("htmx:afterOnLoad", function () { offline(false); });
  window.addEventListener("offline", function () { offline(true); });
  window.addEventListener("online", function () { offline(false); });

  var lost = null;
  function offline(is) {
    document.documentElement.classList.toggle("lf-offline", is);
    $$("[data-live]").forEach(function (live) { live.classList.toggle("late", is); });
    if (is && !lost) lost = LF.toast(WORDS[0], { late: true });
    if (!is && lost) { lost.remove(); lost = null; }
  }

  document.addEventListener("htmx:load", function () { $$("[data-toast]", box()).forEach(keep); tick(); });
  document.addEventListener("DOMContentLoaded", function () { $$("[data-toast]", box()).forEach(keep); tick(); });

  /* Where one is stays in sight, also in a row of tabs that is longer than a phone is wide. */
  function showHere(root) {
    $$('.lf-tabs [aria-current], .lf-subnav [aria-current]', root).forEach(function (here) {
      var row = here.parentElement, free = row.clientWidth - here.offsetWidth;
      if (row.scrollWidth > row.clientWidth) row.scrollLeft = here.offsetLeft - row.offsetLeft - free / 2;
    });
  }
  document.addEventListener("DOMContentLoaded", function () { showHere(document); });
  document.addEventListener("htmx:oobAfterSwap", function () { $$("[data-toast]", box()).forEach(keep); });
  /* What was taken back cannot be taken back again: its offer leaves. */
  document.addEventListener("htmx:afterRequest", function (event) {
    var undo = event.detail.elt;
    if (event.detail.successful && undo.matches && undo.matches("[data-toast] [data-undo]")) undo.closest("[data-toast]").remove();
  });
  /* The notices were seen: the bell counts no more. */
  document.addEventListener("htmx:afterRequest", function (event) {
    if (event.detail.pathInfo.requestPath === "/notices/read/") $$("#bell-count").forEach(function (count) { count.remove(); });
  });
  /* A login page that comes back as a fragment means that the session has ended. */
  document.addEventListener("htmx:beforeOnLoad", function (event) {
    var url = event.detail.xhr.responseURL || "";
    if (url && new URL(url).pathname === "/login/" && location.pathname !== "/login/") {
      event.preventDefault();
      location.assign("/login/?next=" + encodeURIComponent(location.pathname + location.search));
    }
  });

  /* Dialogs, menus, toggles ---------------------------------------------------------------------------- */
  LF.open = function (id) {
    var dialog = document.getElementById(id);
    if (!dialog || dialog.open) return;
    dialog.showModal();
    /* Behind an open dialog nothing can be read aloud or clicked: what is told meanwhile is told in it. */
    var toasts = box(), home = toasts.parentNode;
    dialog.append(toasts);
    dialog.addEventListener("close", function () { home.append(toasts); }, { once: true });
    /* One begins with the first question, not with the button that closes it. */
    var first = $("[autofocus],form :is(input:not([type=hidden]),select,textarea):not(:disabled)", dialog);
    if (first) first.focus();
  };
  LF.close = function () { $$("dialog[open]").forEach(function (dialog) { dialog.close(); }); };

  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.detail.target && event.detail.target.id === "dialog-body" && event.detail.target.textContent.trim()) LF.open("dialog");
  });
  document.addEventListener("lf:close", LF.close);

  document.addEventListener("click", function (event) {
    var target = event.target.closest("[data-close],[data-dialog],[data-toast-close],[data-toggle],[data-search],[data-copy]");
    if (event.target.nodeName === "DIALOG" && event.target.open) { event.target.close(); return; }
    $$("details.lf-more[open]").forEach(function (menu) { if (!menu.contains(event.target)) menu.open = false; });
    if (!target) return;
    if (target.hasAttribute("data-toast-close")) target.closest("[data-toast]").remove();
    if (target.hasAttribute("data-close")) { event.preventDefault(); LF.close(); }
    if (target.dataset.dialog === "keys") { listKeys(); }
    else if (target.dataset.dialog) { event.preventDefault(); LF.open(target.dataset.dialog); }
    if (target.dataset.toggle) {
      var other = document.getElementById(target.dataset.toggle);
      other.hidden = !other.hidden;
      target.setAttribute("aria-expanded", String(!other.hidden));
      if (!other.hidden) { var first = $("input,select,textarea,button,a", other); if (first) first.focus(); }
    }
    if (target.hasAttribute("data-search")) openSearch();
    if (target.dataset.copy) {
      var field = document.getElementById(target.dataset.copy);
      navigator.clipboard.writeText(field.value || field.textContent).then(function () { LF.toast("Copied"); });
    }
  });

  /* A form that filters sends itself when a choice changes; one that destroys asks first. */
  document.addEventListener("change", function (event) {
    var form = event.target.closest("form[data-auto]");
    if (!form || !event.target.matches("select,input[type=checkbox],input[type=radio],input[type=date]")) return;
    /* A period is moved one day at a time: while its last day lies before its first the form waits for it. */
    var from = form.elements.from, to = form.elements.to;
    if (from && to && to.type === "date") to.min = from.value;
    form.requestSubmit();
  });
  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) { event.preventDefault(); return; }
    if (form.matches("[data-auto]")) $$("input,select", form).forEach(function (field) { if (!field.value) field.disabled = true; });
  });

  /* A form that is under way is not sent a second time by a hasty click. */
  document.addEventListener("submit", function (event) {
    var form = event.target, plain = form.method === "post" && !form.hasAttribute("hx-post");
    if (form.classList.contains("htmx-request") || (plain && form.dataset.sent)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    } else if (plain) {
      form.dataset.sent = "1";
      setTimeout(function () { if (event.defaultPrevented) delete form.dataset.sent; });
      setTimeout(function () { delete form.dataset.sent; }, SENT);
    }
  }, true);

  window.addEventListener("pageshow", function () {
    $$("form[data-sent]").forEach(function (form) { delete form.dataset.sent; });
    $$("form[data-auto] :disabled").forEach(function (field) { if (!field.value) field.disabled = false; });
  });

  /* Search ------------------------------------------------------------------------------------------------ */
  function openSearch() {
    var more = document.getElementById("more"), pop = document.getElementById("search");
    if (!pop) return;
    if (more && more.matches(":popover-open")) more.hidePopover();
    if (!pop.matches(":popover-open")) pop.showPopover();
    var field = document.getElementById("search-q");
    field.focus();
    field.select();
  }

  document.addEventListener("keydown", function (event) {
    var pop = event.target.closest && event.target.closest("#search");
    if (!pop || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
    var stops = [document.getElementById("search-q")].concat($$("a", pop));
    var at = stops.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    event.preventDefault();
    if (stops[at]) stops[at].focus();
  });

  /* Keys: never while typing; `?` lists them; the profile can switch them off. ------------------------------ */
  var own = [];

  /* LF.keys.on("j", fn, "next"); keys are as written on the button: "a", "A" (with shift), "Enter", "1". */
  LF.keys = {
    on: function (key, act, label) { own.push({ key: key, act: act, label: label || "" }); },
    off: function (key) { own = own.filter(function (one) { return one.key !== key; }); },
  };

  function typing(event) {
    var node = event.target;
    return node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.nodeName) &&
      !/^(checkbox|radio|button|submit|range)$/.test(node.type);
  }

  function visible(node) { return node.checkVisibility ? node.checkVisibility({ visibilityProperty: true }) : node.offsetParent !== null; }

  function buttonFor(key) {
    /* The innermost open place wins: an open reject panel's "1" before the page's. */
    var all = $$('[data-key="' + (window.CSS ? CSS.escape(key) : key) + '"]').filter(function (node) {
      return (visible(node) || node.hasAttribute("data-search")) && !node.disabled && node.getAttribute("aria-disabled") !== "true";
    });
    return all[all.length - 1];
  }

  function listKeys() {
    var list = document.getElementById("keys-list"), seen = {};
    list.replaceChildren();
    var rows = $$("[data-key][data-key-label]").filter(visible).map(function (node) {
      return { key: node.dataset.key, label: node.dataset.keyLabel };
    }).concat(own.filter(function (one) { return one.label; }), [{ key: "?", label: "this list" }]);
    rows.forEach(function (row) {
      if (seen[row.key + row.label]) return;
      seen[row.key + row.label] = true;
      var dt = document.createElement("dt"), dd = document.createElement("dd"), key = document.createElement("kbd");
      key.textContent = /^[A-Z]$/.test(row.key) ? "⇧" + row.key : row.key.length === 1 ? row.key.toUpperCase() : row.key;
      dd.textContent = row.label;
      dt.append(key);
      list.append(dt, dd);
    });
    LF.open("keys");
  }
  LF.listKeys = listKeys;

  document.addEventListener("keydown", function (event) {
    if (document.body.dataset.shortcuts === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.defaultPrevented || event.isComposing || typing(event) || $("dialog[open]")) return;
    var key = event.key;
    if (key === "?") { event.preventDefault(); listKeys(); return; }
    for (var i = own.length - 1; i >= 0; i--) {
      /* A handler that answers false leaves the key to the next one. */
      if (own[i].key === key && own[i].act(event) !== false) { event.preventDefault(); return; }
    }
    var button = buttonFor(key);
    if (!button) return;
    event.preventDefault();
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(button.nodeName)) button.focus();
    else button.click();
  });
})();

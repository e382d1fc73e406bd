/* Notices outside the page, for whoever switched them on in the profile on this device. The page itself asks
   the server every so often, one tab for all; nobody else's service is involved. */
(function () {
  "use strict";

  var LF = window.LF, KEY = "lf-notify", EVERY = 20000;
  var place = document.body.dataset.news;
  var can = "Notification" in window && window.isSecureContext;
  var box = document.getElementById("notify");

  function stored(value) {
    try {
      if (value === undefined) return localStorage.getItem(KEY);
      if (value === null) localStorage.removeItem(KEY); else localStorage.setItem(KEY, value);
    } catch (error) { /* a browser that keeps nothing: off */ }
    return null;
  }
  function on() { return can && Notification.permission === "granted" && stored() === "on"; }

  /* The setting in the profile. --------------------------------------------------------------------- */
  function show() {
    if (!box) return;
    var state = !can ? "cannot" : Notification.permission === "denied" ? "denied" : on() ? "on" : "off";
    Array.from(box.querySelectorAll("[data-notify]")).forEach(function (part) { part.hidden = part.dataset.notify !== state; });
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-notify-do]");
    if (!button) return;
    if (button.dataset.notifyDo === "off") { stored(null); show(); return; }
    Notification.requestPermission().then(function (answer) {
      if (answer === "granted") { stored("on"); lead(); say({ id: 0, text: "This is how LeadFlow tells you.", url: "/notices/" }, true); }
      show();
    });
  });

  /* One tab asks, for all of them. -------------------------------------------------------------------- */
  var after = "", asking = false;

  function say(notice, always) {
    if (!always && document.hasFocus()) return;
    var shown = new Notification("LeadFlow", { body: notice.text, tag: "lf-" + notice.id, icon: document.querySelector("link[rel=icon]").href });
    shown.onclick = function () { window.focus(); location.assign(notice.url); shown.close(); };
  }

  function ask() {
    if (!on()) return;
    fetch(place + (after === "" ? "" : "?after=" + after), { headers: { Accept: "application/json" }, credentials: "same-origin" })
      .then(function (answer) { return answer.status === 200 && !answer.redirected ? answer.json() : null; })
      .then(function (news) {
        if (!news) return;
        after = news.after;
        news.notices.forEach(function (notice) { say(notice, false); });
      })
      .catch(function () { /* no connection: the next time */ });
  }

  function lead() {
    if (asking || !place || !on()) return;
    asking = true;
    var run = function () { ask(); setInterval(ask, EVERY); return new Promise(function () {}); };
    if (navigator.locks) navigator.locks.request(KEY, run); else run();
  }

  LF.askNews = ask;
  show();
  lead();
})();

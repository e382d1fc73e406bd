/* The call sheet: after a call the result stands open, and the next one comes up by itself. */
(function () {
  "use strict";
  var LF = window.LF;

  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.detail.target.id !== "calls") return;
    var first = document.querySelector("#calls .lf-call");
    if (first) first.scrollIntoView({ block: "nearest" });
  });

  /* Somebody was faster, or the day went on while the phone was in the pocket: look again. */
  document.addEventListener("htmx:responseError", function () { window.htmx.trigger(document.body, "calls-again"); });
  document.addEventListener("visibilitychange", function () {
    if (!document.hidden && !LF.openForm()) window.htmx.trigger(document.body, "calls-again");
  });
})();

/* Sorting by keyboard: G, N, U and the arrows are declared on their buttons; this does the rest. */
(function () {
  "use strict";

  var hovers = window.matchMedia("(hover: hover)");

  /* After an answer comes its reason; a phone's keyboard stays down. */
  function focusReason() {
    var reason = document.querySelector("#ws-card [data-focus]");
    if (reason && hovers.matches) reason.focus({ preventScroll: true });
  }

  /* Escape leaves a text, so that the keys work again. */
  document.addEventListener("keydown", function (event) {
    var node = event.target;
    if (event.key !== "Escape" || event.isComposing || !node.closest || !node.closest("[data-sort] input")) return;
    event.preventDefault();
    node.blur();
  });

  document.addEventListener("DOMContentLoaded", function () {
    focusReason();
    /* Enter goes on when nothing else has the focus. */
    window.LF.keys.on("Enter", function (event) {
      var next = document.querySelector("[data-sort] [data-next]");
      if (!next || event.target !== document.body) return false;
      next.click();
    }, "next to sort");
  });

  /* The next card begins at its top. */
  document.addEventListener("htmx:afterSettle", function (event) {
    var card = document.getElementById("ws-card");
    if (!card || event.detail.target.id !== "ws-card") return;
    focusReason();
    if (card.dataset.card !== document.body.dataset.card) window.scrollTo(0, 0);
    document.body.dataset.card = card.dataset.card;
  });
})();

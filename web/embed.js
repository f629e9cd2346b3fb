// Shows a payment page in a frame of the merchant's own page.
//
//   <script src="https://pay.example.com/assets/embed.js"></script>
//   var checkout = Mintage.embed('#checkout', payment_url, { title: 'Card payment', onEvent: function (message) {} });
//   checkout.done.then(function (message) { ... });   // payment.success; rejects on payment.canceled
//   checkout.destroy();
//
// A message is a hint for the customer's eyes. Deliver goods on the webhook or the run's own outcome.
(function (global) {
  'use strict';

  function embed(where, url, options) {
    options = options || {};
    var parent = typeof where === 'string' ? document.querySelector(where) : where;
    if (!parent) throw new Error('Mintage.embed: there is no element ' + where);
    var origin = new URL(url, location.href).origin;
    if (!/^https?:/.test(origin)) throw new Error('Mintage.embed: wanted an http or https URL, found ' + url);

    var frame = document.createElement('iframe');
    frame.src = url;
    frame.title = options.title || 'Card payment';
    frame.allow = 'payment';
    frame.setAttribute('sandbox',
      'allow-forms allow-scripts allow-same-origin allow-popups allow-top-navigation-by-user-activation');
    frame.style.cssText = 'display:block;width:100%;border:0;height:' + (options.height || 760) + 'px';

    var settle;
    var done = new Promise(function (resolve, reject) { settle = { resolve: resolve, reject: reject }; });
    done.catch(function () { /* whoever wants to know attaches a handler */ });

    function listen(event) {
      if (event.source !== frame.contentWindow || event.origin !== origin) return;
      var message = event.data;
      if (!message || typeof message.event !== 'string') return;
      if (options.onEvent) options.onEvent(message);
      if (message.event === 'payment.success') settle.resolve(message);
      if (message.event === 'payment.canceled') settle.reject(message);
    }

    function destroy() {
      global.removeEventListener('message', listen);
      frame.remove();
      settle.reject({ event: 'destroyed', message: 'The checkout was removed.' });
    }

    global.addEventListener('message', listen);
    parent.appendChild(frame);
    return { frame: frame, done: done, destroy: destroy };
  }

  global.Mintage = { embed: embed };
}(window));

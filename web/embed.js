// Shows a payment page in a frame of the merchant's own page: in a place of it, or over it.
//
//   <script src="https://pay.example.com/assets/embed.js"></script>
//   var checkout = Mintage.embed('#checkout', payment_url, { title: 'Card payment', onEvent: function (message) {} });
//   checkout.done.then(function (message) { ... });   // payment.success; rejects on payment.canceled
//   checkout.destroy();
//
//   var checkout = Mintage.open(payment_url, { onSuccess: function (message) {}, onClose: function () {} });
//   checkout.close();                                 // the customer may too: a button, or Escape
//
// A message is a hint for the customer's eyes. Deliver goods on the webhook or the run's own outcome.
(function (global) {
  'use strict';

  var LINGER_MS = 1500; // the outcome stays in sight before the overlay goes

  function callback(options, name, message) { if (options[name]) options[name](message); }

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
      callback(options, 'onEvent', message);
      if (message.event === 'payment.success') {
        settle.resolve(message);
        callback(options, 'onSuccess', message);
      }
      if (message.event === 'payment.canceled') {
        settle.reject(message);
        callback(options, 'onCancel', message);
      }
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

  // The page over the merchant's own. A dialog keeps the focus inside, closes on Escape, and gives the focus back.
  function open(url, options) {
    options = options || {};
    var dialog = document.createElement('dialog');
    dialog.setAttribute('aria-label', options.title || 'Card payment');
    dialog.style.cssText = 'box-sizing:border-box;width:min(100vw,30rem);max-width:none;height:min(100dvh,50rem);max-height:none;' +
      'padding:0;border:0;border-radius:14px;overflow:hidden;background:Canvas;box-shadow:0 1rem 4rem #0009';

    var close = document.createElement('button');
    close.type = 'button';
    close.textContent = '×';
    close.setAttribute('aria-label', options.closeLabel || 'Close');
    close.style.cssText = 'display:block;box-sizing:border-box;width:44px;height:44px;margin:0 0 0 auto;padding:0;border:0;' +
      'background:none;color:CanvasText;font:1.75rem/1 system-ui,sans-serif;cursor:pointer';
    dialog.appendChild(close);
    document.body.appendChild(dialog);

    var timer;
    function whenOver(name) {
      return function (message) {
        callback(options, name, message);
        timer = setTimeout(function () { dialog.close(); }, LINGER_MS);
      };
    }
    var inner;
    try {
      inner = embed(dialog, url, {
        title: options.title, onEvent: options.onEvent, onSuccess: whenOver('onSuccess'), onCancel: whenOver('onCancel')
      });
    } catch (e) {
      dialog.remove();
      throw e;
    }
    inner.frame.style.height = 'calc(100% - 44px)';

    close.addEventListener('click', function () { dialog.close(); });
    dialog.addEventListener('close', function () {
      clearTimeout(timer);
      inner.destroy();
      dialog.remove();
      callback(options, 'onClose');
    });
    dialog.showModal();
    return { frame: inner.frame, done: inner.done, close: function () { dialog.close(); } };
  }

  global.Mintage = { embed: embed, open: open };
}(window));

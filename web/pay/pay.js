// The hosted checkout page, on top of plain forms: checks and formats what is typed, sends forms without leaving the page
// (the answer is the same HTML, whose <main> replaces this one), and tells the parent window what happened.
(function () {
  'use strict';

  var texts = JSON.parse(document.getElementById('texts').textContent);
  var framed = window.parent !== window;
  var busy = false;
  var started = false;

  function $(id) { return document.getElementById(id); }
  function main() { return $('main'); }
  function digits(text) { return text.replace(/\D/g, ''); }

  // ---- the parent window ----

  // The success_url's origin when there is one, else whoever opened the frame. Never "*".
  function target() {
    var known = main().dataset.target;
    if (known) return known;
    try { return new URL(document.referrer).origin; } catch (e) { return null; }
  }

  function post(message) {
    var to = target();
    if (framed && to) window.parent.postMessage(message, to);
  }

  function postError(message) { post({ event: 'error', type: 'error', message: message }); }

  // ---- cards ----

  var brands = [
    [/^4/, 'VISA', 3], [/^(5[1-5]|2[2-7])/, 'Mastercard', 3], [/^3[47]/, 'AMEX', 4],
    [/^(6011|65|64[4-9])/, 'Discover', 3], [/^3(0[0-5]|[689])/, 'Diners', 3], [/^35/, 'JCB', 3], [/^62/, 'UnionPay', 3]
  ];

  function brandOf(number) {
    for (var i = 0; i < brands.length; i++) if (brands[i][0].test(number)) return brands[i];
    return [null, '', 3];
  }

  function spaced(number) {
    if (/^3[47]/.test(number)) return number.replace(/^(\d{4})(\d{1,6})?(\d+)?/, join);
    if (/^3[0689]/.test(number)) return number.replace(/^(\d{4})(\d{1,6})?(\d+)?/, join);
    return number.replace(/(\d{4})(?=\d)/g, '$1 ');
  }
  function join(all, a, b, c) { return [a, b, c].filter(Boolean).join(' '); }

  function luhn(number) {
    var sum = 0;
    for (var i = number.length - 1, twice = false; i >= 0; i--, twice = !twice) {
      var d = +number[i];
      sum += twice ? (d > 4 ? d * 2 - 9 : d * 2) : d;
    }
    return sum % 10 === 0;
  }

  // Puts the caret back behind as many digits as before, however the text was regrouped.
  function rewrite(input, text) {
    if (input.value === text) return;
    var before = digits(input.value.slice(0, input.selectionStart)).length;
    var atEnd = input.selectionStart === input.value.length;
    input.value = text;
    var at = atEnd ? text.length : 0;
    for (var seen = 0; !atEnd && seen < before && at < text.length; at++) if (/\d/.test(text[at])) seen++;
    if (document.activeElement === input) input.setSelectionRange(at, at);
  }

  var formats = {
    card_number: function (input) {
      var number = digits(input.value).slice(0, 19);
      rewrite(input, spaced(number));
      $('brand').textContent = brandOf(number)[1];
      $('card_cvc').maxLength = brandOf(number)[2];
    },
    card_expiry: function (input, deleting) {
      var value = input.value;
      if (/^\s*\d{1,2}\s*[\/-]\s*\d{4}\s*$/.test(value)) value = value.replace(/\d\d(\d\d)\s*$/, '$1'); // 12/2030
      if (/^\d\s*\//.test(value)) value = '0' + value;
      var d = digits(value).slice(0, 4);
      if (/^[2-9]/.test(d)) d = '0' + d.slice(0, 3);
      rewrite(input, d.length > 2 || (d.length === 2 && !deleting) ? d.slice(0, 2) + ' / ' + d.slice(2) : d);
    },
    card_cvc: function (input) { rewrite(input, digits(input.value).slice(0, 4)); }
  };

  var checks = {
    card_number: function (value) {
      var number = digits(value);
      if (!number) return 'number_missing';
      if (number.length < 12 || !luhn(number)) return 'number_invalid';
    },
    card_expiry: function (value) {
      if (!value.trim()) return 'expiry_missing';
      var found = /^(\d\d)\s*\/\s*(\d\d)$/.exec(value.trim());
      if (!found || +found[1] < 1 || +found[1] > 12) return 'expiry_invalid';
      // Whether it has passed is for the server to say: its clock counts.
    },
    card_cvc: function (value) {
      if (!value.trim()) return 'cvc_missing';
      if (value.length !== brandOf(digits($('card_number').value))[2]) return 'cvc_invalid';
    },
    card_name: function (value) { if (!value.trim()) return 'name_missing'; }
  };

  function wordsFor(code) {
    return texts[code].replace('{digits}', brandOf(digits($('card_number').value))[2]);
  }

  function mark(name, code) {
    $(name + '-error').textContent = code ? wordsFor(code) : '';
    if (code) $(name).setAttribute('aria-invalid', 'true'); else $(name).removeAttribute('aria-invalid');
  }

  function element(tag, text, href) {
    var made = document.createElement(tag);
    made.textContent = text;
    if (href) made.href = href;
    return made;
  }

  // Fills the summary of errors and moves the focus there.
  function explain(heading, parts) {
    var box = $('errors');
    box.replaceChildren.apply(box, [element('h2', heading)].concat(parts));
    setTitle(true);
    box.focus();
  }

  function setTitle(bad) {
    var title = main().dataset.title.replace(texts.error_prefix, '');
    document.title = (bad ? texts.error_prefix : '') + title;
  }

  function valid() {
    var list = document.createElement('ul');
    Object.keys(checks).forEach(function (name) {
      var code = checks[name]($(name).value);
      mark(name, code);
      if (!code) return;
      var item = document.createElement('li');
      item.append(element('a', wordsFor(code), '#' + name));
      list.append(item);
    });
    if (!list.children.length) return true;
    explain(texts.invalid_heading, [list]);
    postError(list.children[0].textContent);
    return false;
  }

  // ---- sending ----

  function setBusy(form, now) {
    busy = now;
    form.toggleAttribute('data-busy', now);
    form.setAttribute('aria-busy', now);
    main().querySelectorAll('button').forEach(function (button) { button.disabled = now; });
    var label = form.querySelector('.primary span');
    if (!label) return;
    if (now) { label.dataset.label = label.textContent; label.textContent = texts.processing; }
    else label.textContent = label.dataset.label;
  }

  function kept() {
    var values = {};
    ['card_number', 'card_expiry', 'card_cvc', 'card_name'].forEach(function (name) { if ($(name)) values[name] = $(name).value; });
    return values;
  }

  function send(form, button) {
    var body = new URLSearchParams(new FormData(form));
    if (button && button.name) body.set(button.name, button.value);
    var typed = kept();
    setBusy(form, true);
    // form.action would be the button of that name
    fetch(form.getAttribute('action'), { method: 'POST', body: body, credentials: 'omit', headers: { Accept: 'text/html' } })
      .then(function (answer) { return answer.text(); })
      .then(function (text) {
        var next = new DOMParser().parseFromString(text, 'text/html').getElementById('main');
        if (!next) throw new Error('not a page');
        busy = false;
        main().replaceWith(document.adoptNode(next));
        for (var name in typed) if ($(name)) $(name).value = typed[name];
        shown(true);
      })
      .catch(function () {
        setBusy(form, false);
        if ($('errors')) explain(texts.error_heading, [element('p', texts.network)]);
        postError('The payment page could not be reached.');
      });
  }

  document.addEventListener('submit', function (event) {
    event.preventDefault();
    if (busy) return;
    if (event.target.id === 'card-form' && !valid()) return;
    send(event.target, event.submitter);
  });

  document.addEventListener('input', function (event) {
    var input = event.target;
    if (formats[input.name]) formats[input.name](input, /^delete/.test(event.inputType || ''));
    if (input.getAttribute('aria-invalid') && !checks[input.name](input.value)) mark(input.name);
  });

  document.addEventListener('click', function (event) {
    var card = event.target.dataset && event.target.dataset.card;
    if (!card) return;
    var year = String((new Date().getFullYear() + 4) % 100);
    var values = { card_number: card, card_expiry: '12 / ' + year, card_cvc: /^3[47]/.test(card) ? '1234' : '123' };
    for (var name in values) {
      $(name).value = values[name];
      formats[name]($(name));
      mark(name);
    }
    main().querySelector('.primary').focus();
  });

  // ---- what the state asks for ----

  function shown(swapped) {
    var data = main().dataset;
    setTitle(false);
    document.title = data.title;
    if ($('card_number')) formats.card_number($('card_number'));
    if (data.event) {
      var message = JSON.parse(data.event);
      if (message.event !== 'payment.started' || !started) post(message);
      if (message.event === 'payment.started') started = true;
    }
    if (swapped) {
      var focus = $('errors') && $('errors').firstChild ? $('errors') : main().querySelector('h1');
      focus.focus();
      focus.scrollIntoView({ block: 'nearest' });
    }
    if (data.back && !framed) setTimeout(function () { location.replace(data.back); }, 1500);
  }

  // Coming back with the Back button shows what is true now, not what was.
  window.addEventListener('pageshow', function (event) { if (event.persisted) location.reload(); });

  shown(false);
}());

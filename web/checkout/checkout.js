// The checkout page of a run, on top of plain pages and forms: asks the run how it is (GET <this page>/status) and, when that
// changes, puts the part of the page that the server makes of it in place. Believes only the run about the outcome: messages
// of the frame are hints to look again.
(function () {
  'use strict';

  var path = location.pathname.replace(/\/$/, '');
  var address = location.pathname + location.search; // of what is shown
  var body = document.body;
  var delays = [400, 600, 1000, 1500, 2000, 2500];
  var tries = 0;
  var timer = null;
  var busy = false;
  var leftAt = 0; // when data-left was true
  var spoken = Infinity;

  function $(id) { return document.getElementById(id); }
  function data() { return $('main').dataset; }
  function seconds() { return performance.now() / 1000; }

  function noted(what) { try { return sessionStorage.getItem('mintage:' + path) === what; } catch (e) { return false; } }
  function note(what) { try { sessionStorage.setItem('mintage:' + path, what); } catch (e) { /* private mode */ } }

  // The page for who comes back from the provider's.
  function returned() {
    var url = new URL(address, location.href);
    url.searchParams.delete('sent');
    url.searchParams.delete('ways');
    url.searchParams.set('returned', '1');
    return url.pathname + url.search;
  }

  // ---- putting a page in place ----

  function swap(text, byCustomer) {
    var next = new DOMParser().parseFromString(text, 'text/html');
    var page = next.getElementById('page');
    if (!page) throw new Error('not a page');
    var frame = document.querySelector('iframe');
    var nextFrame = page.querySelector('iframe');
    var hadFocus = $('page').contains(document.activeElement);
    document.title = next.title;
    if (frame && nextFrame && frame.getAttribute('src') === nextFrame.getAttribute('src')) {
      data().version = page.querySelector('main').dataset.version; // what is typed in there stays
      return;
    }
    var way = document.querySelector('[name=way]:checked');
    var phone = $('phone') && $('phone').value;
    $('page').replaceWith(document.adoptNode(page));
    if (!byCustomer) {
      way = way && $(way.id);
      if (way) way.checked = true;
      announce($('heading').textContent);
    }
    if (phone && $('phone')) $('phone').value = phone;
    if (byCustomer || hadFocus) ($('errors') || $('heading')).focus();
    shown();
  }

  function announce(text) { $('announce').textContent = text; }

  function look(where, byCustomer) {
    return fetch(where, { headers: { Accept: 'text/html' }, credentials: 'omit', cache: 'no-store' })
      .then(function (answer) { return answer.text(); })
      .then(function (text) {
        address = where;
        swap(text, byCustomer);
      });
  }

  // What the state asks for.
  function shown() {
    var main = data();
    leftAt = seconds();
    tries = 0;
    count();
    if (main.state === 'leaving' && noted(main.url)) look(returned()).catch(lost);
    else if (main.lead) go(main.url);
    else if (main.home && window.parent === window && !noted('home')) {
      note('home');
      setTimeout(function () { location.replace(main.home); }, 2500);
    }
  }

  function go(url) {
    note(url);
    location.assign(url);
  }

  // ---- the run ----

  function again() {
    clearTimeout(timer);
    timer = setTimeout(poll, tries > 200 ? 10000 : delays[Math.min(tries, delays.length - 1)]);
    tries++;
  }

  function lost() {
    $('connection').textContent = body.dataset.lost;
    again();
  }

  function poll() {
    clearTimeout(timer);
    if (busy) return again();
    fetch(path + '/status', { headers: { Accept: 'application/json' }, credentials: 'omit', cache: 'no-store' })
      .then(function (answer) {
        if (!answer.ok) throw new Error(answer.status);
        return answer.json();
      })
      .then(function (run) {
        $('connection').textContent = '';
        var over = /^(completed|failed|cancelled)$/.test(run.state);
        if (busy || run.version === data().version) return over ? null : again();
        return look(address).then(function () { if (!over) again(); });
      })
      .catch(lost);
  }

  // ---- forms ----

  function setBusy(form, now) {
    busy = now;
    form.setAttribute('aria-busy', now);
    document.querySelectorAll('button').forEach(function (button) { button.disabled = now; });
    announce(now ? body.dataset.sending : '');
  }

  // Only what belongs to the way that is chosen leaves the page, and an ePIN is typed for one sending.
  function fieldsOf(form, button) {
    var fields = new URLSearchParams(new FormData(form));
    var way = fields.get('way');
    if (way !== 'paymint') fields.delete('phone');
    if (way !== 'epin') {
      fields.delete('epin');
      fields.delete('amount');
    }
    if (button && button.name) fields.set(button.name, button.value);
    if ($('epin')) $('epin').value = '';
    return fields;
  }

  document.addEventListener('submit', function (event) {
    var form = event.target;
    event.preventDefault();
    if (busy) return;
    var fields = fieldsOf(form, event.submitter);
    setBusy(form, true);
    fetch(form.getAttribute('action'), { method: 'POST', body: fields, credentials: 'omit', headers: { Accept: 'text/html' } })
      .then(function (answer) {
        var url = new URL(answer.url);
        return answer.text().then(function (text) {
          busy = false;
          if (url.pathname === location.pathname) address = url.pathname + url.search;
          swap(text, true);
          again();
        });
      })
      .catch(function () {
        setBusy(form, false);
        lost();
      });
  });

  // ---- the end of the time to pay, said at ten minutes, five and one ----

  function count() {
    if (!data().left) return;
    var left = data().left - (seconds() - leftAt);
    if (left > 600) return;
    var text = left < 60 ? body.dataset.soon : body.dataset.minutes.replace('{minutes}', Math.floor(left / 60));
    $('expiry').textContent = text;
    [600, 300, 60].forEach(function (mark) {
      if (left > mark || spoken <= mark) return;
      spoken = mark;
      announce(text);
    });
  }

  // ---- the provider's page ----

  document.addEventListener('click', function (event) {
    var link = event.target.closest && event.target.closest('a');
    if (link && link.getAttribute('href') === data().url) note(data().url);
  });

  window.addEventListener('message', function (event) {
    var frame = document.querySelector('iframe');
    if (!frame || event.source !== frame.contentWindow || event.origin !== new URL(frame.src).origin) return;
    var name = event.data && event.data.event;
    if (name !== 'payment.success' && name !== 'payment.canceled') return;
    look(returned()).catch(lost);
  });

  // The page was made before the provider's address was known, so its policy does not let the frame in: once is enough.
  document.addEventListener('securitypolicyviolation', function (event) {
    if (event.effectiveDirective !== 'frame-src' || location.hash === '#again') return;
    location.hash = 'again';
    location.reload();
  });

  document.addEventListener('visibilitychange', function () {
    if (document.hidden || data().home) return;
    tries = 0;
    poll();
  });
  // Coming back with the Back button shows what is true now, not what was.
  window.addEventListener('pageshow', function (event) { if (event.persisted) location.reload(); });

  setInterval(count, 5000);
  shown();
  if (data().state !== 'missing') poll();
}());

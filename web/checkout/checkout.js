// The checkout page of a run. It asks the run how it is (GET <this page>/status), sends the customer to the provider's page or
// shows it in a frame, and believes only the run about the outcome: messages of the frame are hints to look again.
(function () {
  'use strict';

  var words = {
    en: {
      preparing: ['Preparing your payment', 'This takes a moment.'],
      leaving: ['Taking you to the payment page', 'You pay on the page of our payment provider.', 'Continue to payment'],
      checking: ['We are checking your payment', 'Please do not pay again. This page follows by itself.'],
      returned: ['We are checking your payment', 'If you have not paid yet, you can go back to the payment page.',
        'Back to the payment page'],
      succeeded: ['Payment complete', 'Thank you. You can close this page.'],
      failed: ['The payment did not succeed', 'You have not been charged. Please order again.'],
      cancelled: ['Payment cancelled', 'You have not been charged.'],
      expired: ['The payment has expired', 'You have not been charged. Please order again.'],
      undoing: ['The payment is being undone', 'You get back whatever was taken.'],
      missing: ['There is no such checkout', 'Check that the address is complete.'],
      lost: 'There is no connection right now. Trying again…',
      frame: 'Card payment'
    },
    ko: {
      preparing: ['결제를 준비하고 있습니다', '잠시만 기다려 주세요.'],
      leaving: ['결제 화면으로 이동합니다', '결제 서비스의 화면에서 결제합니다.', '결제 화면으로 이동'],
      checking: ['결제를 확인하고 있습니다', '다시 결제하지 마세요. 이 화면은 자동으로 바뀝니다.'],
      returned: ['결제를 확인하고 있습니다', '아직 결제하지 않았다면 결제 화면으로 돌아갈 수 있습니다.', '결제 화면으로 돌아가기'],
      succeeded: ['결제가 완료되었습니다', '감사합니다. 이 화면을 닫아도 됩니다.'],
      failed: ['결제가 완료되지 않았습니다', '청구된 금액이 없습니다. 다시 주문해 주세요.'],
      cancelled: ['결제가 취소되었습니다', '청구된 금액이 없습니다.'],
      expired: ['결제 시간이 지났습니다', '청구된 금액이 없습니다. 다시 주문해 주세요.'],
      undoing: ['결제를 되돌리고 있습니다', '결제된 금액은 환불됩니다.'],
      missing: ['결제 정보를 찾을 수 없습니다', '주소가 올바른지 확인해 주세요.'],
      lost: '연결이 끊어졌습니다. 다시 시도하는 중…',
      frame: '카드 결제'
    }
  };
  var marks = { succeeded: ['good', '✓'], failed: ['bad', '!'], cancelled: ['', '×'], expired: ['bad', '!'], missing: ['bad', '?'] };

  var asked = new URLSearchParams(location.search).get('locale') || navigator.language || 'en';
  var language = asked.slice(0, 2) === 'ko' ? 'ko' : 'en';
  var text = words[language];
  document.documentElement.lang = language;

  var page = location.pathname.replace(/\/$/, '');
  var visited = 'mintage:' + page.split('/').pop();
  var delays = [400, 600, 1000, 1500, 2500, 4000, 6000, 10000];
  var tries = 0;
  var timer = null;
  var shownState = null;
  var frame = null;
  var frameOrigin = null;
  var settled = false; // the frame said that the customer is done

  function $(id) { return document.getElementById(id); }

  function wasSent() { try { return sessionStorage.getItem(visited); } catch (e) { return null; } }
  function noteSent() { try { sessionStorage.setItem(visited, 'sent'); } catch (e) { /* private mode */ } }

  function show(state, url) {
    if (shownState === state) return;
    var first = shownState === null;
    shownState = state;
    var said = text[state];
    var mark = marks[state];
    $('mark').className = 'mark ' + (mark ? mark[0] : 'working');
    $('mark').textContent = mark ? mark[1] : '';
    $('heading').textContent = said[0];
    $('says').textContent = said[1];
    $('link').hidden = !(said[2] && url);
    if (url) {
      $('link').firstElementChild.href = url;
      $('link').firstElementChild.textContent = said[2] || '';
    }
    $('main').setAttribute('aria-busy', !mark);
    $('main').dataset.state = state;
    document.title = said[0];
    $('main').hidden = false;
    $('frame').hidden = true;
    if (!first && mark) $('heading').focus();
  }

  // ---- the provider's page ----

  function embed(url) {
    if (frame) return;
    frameOrigin = new URL(url).origin;
    frame = document.createElement('iframe');
    frame.src = url;
    frame.title = text.frame;
    frame.setAttribute('allow', 'payment');
    frame.setAttribute('sandbox', 'allow-forms allow-scripts allow-same-origin allow-popups allow-top-navigation-by-user-activation');
    $('frame').append(frame);
    $('frame').hidden = false;
    $('main').hidden = true;
    shownState = 'frame';
    $('main').dataset.state = 'frame';
  }

  window.addEventListener('message', function (event) {
    if (!frame || event.source !== frame.contentWindow || event.origin !== frameOrigin) return;
    var name = event.data && event.data.event;
    if (name !== 'payment.success' && name !== 'payment.canceled') return;
    settled = true;
    tries = 0;
    show('checking');
    poll();
  });

  // The page was made before the provider's address was known, so its policy does not let the frame in: once is enough.
  document.addEventListener('securitypolicyviolation', function (event) {
    if (event.effectiveDirective !== 'frame-src' || location.hash === '#again') return;
    location.hash = 'again';
    location.reload();
  });

  function waiting(run) {
    var progress = run.progress || {};
    var url = progress.payment_url;
    if (!url || !/^https?:/.test(url)) return show('preparing');
    if ((run.integration || progress.integration) === 'iframe') return settled ? show('checking') : embed(url);
    if (wasSent()) return show('returned', url);
    show('leaving', url);
    noteSent();
    location.assign(url);
  }

  // ---- the run ----

  function ended(run) {
    var kind = run.error && run.error.kind;
    if (run.state === 'completed') return 'succeeded';
    if (run.state === 'cancelled' || /^cancell?ed$/.test(kind)) return 'cancelled';
    if (run.state === 'failed') return kind === 'expired' ? 'expired' : 'failed';
  }

  function apply(run) {
    var end = ended(run);
    if (end) return show(end), true;
    if (run.state === 'needs_attention') show('checking');
    else if (run.state === 'compensating') show('undoing');
    else waiting(run);
    return false;
  }

  function again() {
    clearTimeout(timer);
    timer = setTimeout(poll, delays[Math.min(tries++, delays.length - 1)]);
  }

  function poll() {
    clearTimeout(timer);
    fetch(page + '/status', { headers: { Accept: 'application/json' }, credentials: 'omit', cache: 'no-store' })
      .then(function (answer) {
        if (answer.status === 404) return show('missing');
        if (!answer.ok) throw new Error(answer.status);
        return answer.json().then(function (run) {
          $('connection').textContent = '';
          if (!apply(run)) again();
        });
      })
      .catch(function () {
        $('connection').textContent = text.lost;
        again();
      });
  }

  document.addEventListener('visibilitychange', function () {
    if (document.hidden || marks[shownState]) return;
    tries = 0;
    poll();
  });
  window.addEventListener('pageshow', function (event) { if (event.persisted) location.reload(); });

  $('heading').textContent = text.preparing[0];
  $('says').textContent = text.preparing[1];
  poll();
}());

// Paymint's pages, as a payer in Korea meets them: a phone, Korean, plain forms. The bill behind a shortURL, and AutoPay's page
// that takes a card.
import { join } from 'node:path';
import { cards, equal, ok, out, state, test, type } from './harness.mjs';
import { sound } from './sound.mjs';

const phone = { viewport: { width: 390, height: 844 }, locale: 'ko-KR', deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const keys = { 'X-API-KEY': 'mmk_test_key', 'X-Paymint-MMK-Mode': 'true', 'Content-Type': 'application/json' };
let made = 0;

async function call(sandbox, path, body, headers = keys) {
  const answer = await fetch(sandbox + path, { method: 'POST', headers, body: JSON.stringify(body) });
  const value = await answer.json();
  ok(answer.status === 200, `${path}: ${answer.status} ${JSON.stringify(value)}`);
  return value;
}

// A day of the sandbox's clock in Seoul.
async function day(sandbox, later) {
  const { unix } = await (await fetch(`${sandbox}/_sandbox/clock`)).json();
  return new Date((unix + 9 * 3600 + later * 86400) * 1000).toISOString().slice(0, 10);
}

async function bill(sandbox, more) {
  const bill_id = `B${process.pid}X${Date.now() % 1e9}N${++made}`;
  const sent = await call(sandbox, '/paymint/request', {
    bill_id, product_nm: '11월 수영 강습 (화·목)', message: '결제를 진행해 주세요.', member_nm: '홍길동', phone: '010-1234-5678',
    price: 50000, expire_dt: await day(sandbox, 7), ...more,
  });
  equal(sent.code, '0000', JSON.stringify(sent));
  return sent;
}
const read = (sandbox, { bill_id }) => call(sandbox, '/paymint/read', { bill_id });

async function payer(sandbox) {
  const customer_id = `member-${process.pid}-${++made}`;
  return call(sandbox, '/paymint/autopay/register', { customer_id, member_nm: '홍길동', phone: '01012345678' });
}
async function methods(sandbox, { customer_id }) {
  const answer = await fetch(`${sandbox}/paymint/autopay/methods?customer_id=${customer_id}`, { headers: keys });
  return (await answer.json()).methods.map((method) => method.card_num);
}

async function submit(page, button) {
  await Promise.all([page.waitForNavigation(), page.locator(`button[value=${button}]`).click()]);
}
const shot = (page, name) => page.screenshot({ path: join(out, `paymint-${name}.png`), fullPage: true });
const text = (page, where = 'body') => page.locator(where).innerText();

test('Paymint: a payer on a phone pays a bill with a card', async ({ sandbox, open }) => {
  const sent = await bill(sandbox);
  const page = await open(phone);
  await page.goto(sent.shortURL);
  equal([await state(page), await page.getAttribute('html', 'lang')], ['ready', 'ko'], 'page');
  const shown = await text(page);
  for (const words of ['결제 요청', '11월 수영 강습 (화·목)', '50,000원', '홍길동 님', '결제를 진행해 주세요.']) {
    ok(shown.includes(words), `the page does not say ${words}: ${shown}`);
  }
  await sound(page, 'ready');
  await shot(page, 'ready');
  await type(page, cards.good);
  await submit(page, 'card');
  equal(await state(page), 'succeeded', 'afterwards');
  ok((await text(page, '#main')).includes('50,000원'), 'what was paid');
  await sound(page, 'succeeded');
  await shot(page, 'succeeded');
  const now = await read(sandbox, sent);
  equal([now.appr_state, now.appr_pay_type, now.appr_issuer_num], ['F', 'KEYIN', '****-****-****-4242'], 'the bill');
  equal(page.complaints, [], 'complaints');
});

test('Paymint: a paid bill says so to whoever opens it again, and to a form that comes late', async ({ sandbox, open }) => {
  const sent = await bill(sandbox);
  const first = await open(phone);
  await first.goto(sent.shortURL);
  const second = await open(phone);
  await second.goto(sent.shortURL);
  await submit(first, 'app');
  equal(await state(first), 'succeeded', 'by app');
  await type(second, cards.good);
  await submit(second, 'card');
  equal([await state(second), await second.locator('button[value=card]').count()], ['succeeded', 0], 'the second tab');
  equal((await read(sandbox, sent)).appr_pay_type, 'CARD_VAN', 'who paid');
  const ledger = await (await fetch(`${sandbox}/_sandbox/ledger?reference=${sent.bill_id}`)).json();
  equal(ledger.data.filter((entry) => entry.kind === 'charge').length, 1, 'charges');
});

test('Paymint: a decline says why, and another card pays', async ({ sandbox, open }) => {
  const sent = await bill(sandbox);
  const page = await open(phone);
  await page.goto(sent.shortURL);
  await submit(page, 'card'); // empty
  equal(await page.locator('[aria-invalid]').count(), 3, 'fields that are named');
  ok((await page.title()).startsWith('오류: '), `the title: ${await page.title()}`);
  equal(await page.locator('#errors a').count(), 3, 'links to the fields');
  await sound(page, 'invalid');
  await shot(page, 'invalid');
  await type(page, cards.funds);
  await submit(page, 'card');
  equal(await state(page), 'ready', 'after the decline');
  ok((await text(page, '#errors')).includes('잔액'), await text(page, '#errors'));
  await sound(page, 'declined');
  await shot(page, 'declined');
  await submit(page, 'fail');
  ok((await text(page, '#errors')).length > 0, 'the button that has it declined');
  equal((await read(sandbox, sent)).appr_state, 'W', 'still unpaid');
  await type(page, cards.challenge);
  await submit(page, 'card');
  equal(await state(page), 'challenge', '3-D Secure');
  await sound(page, 'challenge');
  await shot(page, 'challenge');
  await submit(page, 'complete');
  equal([await state(page), (await read(sandbox, sent)).appr_state], ['succeeded', 'F'], 'paid');
});

test('Paymint: bills that are cancelled or withdrawn', async ({ sandbox, open }) => {
  const page = await open(phone);
  const paid = await bill(sandbox);
  await call(sandbox, '/_sandbox/pay', { bill_id: paid.bill_id });
  equal((await call(sandbox, '/paymint/cancel', { bill_id: paid.bill_id, price: 50000 })).code, '0000', 'cancel');
  await page.goto(paid.shortURL);
  equal(await state(page), 'cancelled', 'cancelled');
  await sound(page, 'cancelled');
  await shot(page, 'cancelled');
  const unpaid = await bill(sandbox);
  equal((await call(sandbox, '/paymint/destroy', { bill_id: unpaid.bill_id, price: 50000 })).code, '0000', 'destroy');
  equal((await page.goto(unpaid.shortURL)).status(), 410, 'destroyed');
  equal([await state(page), await page.locator('button').count()], ['destroyed', 0], 'destroyed');
});

test('Paymint: a card is registered for AutoPay, then replaced', async ({ sandbox, open }) => {
  const registered = await payer(sandbox);
  const page = await open(phone);
  await page.goto(registered.shortURL);
  equal([await state(page), await text(page, 'h1')], ['ready', '카드 등록'], 'page');
  await sound(page, 'register');
  await shot(page, 'register');
  await type(page, cards.declined);
  await submit(page, 'card');
  ok((await text(page, '#errors')).length > 0, 'the decline is told');
  equal(await methods(sandbox, registered), [], 'nothing registered');
  await type(page, cards.good);
  await submit(page, 'card');
  equal([await state(page), await methods(sandbox, registered)], ['succeeded', ['****-****-****-4242']], 'registered');
  await sound(page, 'registered');
  await shot(page, 'registered');
  await page.goto(registered.shortURL);
  equal([await state(page), await page.locator('button').count()], ['succeeded', 0], 'the link is used up');

  const managed = await call(sandbox, '/paymint/autopay/manage', { customer_id: registered.customer_id });
  await page.goto(managed.shortURL);
  equal(await text(page, 'h1'), '카드 변경', 'manage');
  ok((await text(page, '.order')).includes('4242'), 'the card that is charged now');
  await type(page, '5555555555554444');
  await submit(page, 'card');
  equal(await methods(sandbox, registered), ['****-****-****-4444'], 'replaced');
});

test('Paymint: a payer leaves AutoPay\'s page', async ({ sandbox, open }) => {
  const registered = await payer(sandbox);
  const page = await open(phone);
  await page.goto(registered.shortURL);
  await submit(page, 'leave');
  equal([await state(page), await methods(sandbox, registered)], ['cancelled', []], 'left');
  await sound(page, 'left');
  await shot(page, 'left');
});

test('Paymint: English, a dark desk, and a very small phone', async ({ sandbox, open }) => {
  const sent = await bill(sandbox, { product_nm: 'Coaching session', message: 'Please pay.' });
  const page = await open({ colorScheme: 'dark' });
  await page.goto(sent.shortURL);
  equal(await text(page, 'button[value=card]'), 'Pay ₩50,000', 'the button');
  await sound(page, 'dark');
  await shot(page, 'desk-dark');
  await page.locator('a[lang=ko]').click();
  ok((await text(page)).includes('결제 요청'), 'the other language');
  await page.setViewportSize({ width: 320, height: 640 });
  await page.locator('details.cards summary').click();
  await sound(page, '320 px');
  await shot(page, 'small');
});

test('Paymint: a bill past its day cannot be paid', async ({ sandbox, mintro, open }) => {
  const sent = await bill(sandbox, { expire_dt: await day(sandbox, 0) });
  const page = await open(phone);
  await page.goto(sent.shortURL);
  await type(page, cards.good, { expiry: '12 / 49' });
  await mintro.advance('25h');
  await submit(page, 'card');
  equal([await state(page), (await read(sandbox, sent)).appr_state], ['expired', 'W'], 'too late');
  await sound(page, 'expired');
  await shot(page, 'expired');
  equal((await page.goto(sent.shortURL)).status(), 410, 'status');
});

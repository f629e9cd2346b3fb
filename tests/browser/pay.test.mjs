// The hosted checkout page of the sandbox: every state, with and without script, alone and in a frame.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { cards, equal, eventually, ok, out, payButton, root, state, test, type, until } from './harness.mjs';

const back = (merchant) => ({ success_url: `${merchant.url}/return`, cancel_url: `${merchant.url}/cancel` });

test('a card pays and the customer returns to the shop', async ({ mintro, merchant, open }) => {
  const intent = await mintro.create(back(merchant));
  const page = await open();
  await page.goto(intent.payment_url);
  equal(await payButton(page).innerText(), 'Pay $80.00', 'the button');
  await type(page, cards.good);
  await payButton(page).click();
  await until(page, 'succeeded');
  await page.screenshot({ path: join(out, 'pay-succeeded.png') });
  await page.waitForURL(`${merchant.url}/return`);
  equal(await mintro.status(intent), 'succeeded', 'status');
  const charges = await mintro.charges(intent);
  equal(charges.map((c) => [c.kind, c.amount, c.currency]), [['charge', '80.00', 'USD']], 'ledger');
  equal(page.complaints, [], 'complaints');
});

test('the order, its tax, discount and recurring terms are shown', async ({ mintro, open }) => {
  const intent = await mintro.create({
    success_url: 'https://coffee.example.com/thanks', cancel_url: 'https://coffee.example.com/cart', amount: '93.50', tax: 8.5, discount: 5, intent_type: 'recurring', interval_days: 30,
    order_items: [{ name: 'Coffee subscription', quantity: 2, price: 40 }, { name: 'Grinder & <service>', quantity: 1, price: 10 }],
  });
  const page = await open({ viewport: { width: 1180, height: 800 } });
  await page.goto(intent.payment_url);
  const order = await page.locator('.order').innerText();
  for (const text of ['$93.50 every 30 days until cancelled', 'Coffee subscription', 'Grinder & <service>', '2 × $40.00', '$8.50', '−$5.00', '$93.50 USD']) {
    ok(order.includes(text), `the order does not say ${text}: ${order}`);
  }
  await page.screenshot({ path: join(out, 'pay-desktop.png') });
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: join(out, 'pay-mobile-dark.png'), fullPage: true });
});

test('a decline keeps what was typed and the next card pays', async ({ mintro, merchant, open }) => {
  const intent = await mintro.create(back(merchant));
  const page = await open();
  await page.goto(intent.payment_url);
  await type(page, cards.funds);
  await payButton(page).click();
  await page.locator('#errors h2').waitFor();
  ok((await page.locator('#errors').innerText()).includes('insufficient funds'), 'the reason is shown');
  equal(await page.evaluate(() => document.activeElement.id), 'errors', 'focus');
  ok((await page.title()).startsWith('Error: '), 'the title says that there is an error');
  equal(await page.inputValue('[name=card_number]'), '4000 0000 0000 9995', 'the number is kept');
  equal(await mintro.status(intent), 'requires_payment', 'status after the decline');
  await page.screenshot({ path: join(out, 'pay-declined.png') });
  await type(page, cards.good);
  await payButton(page).click();
  await until(page, 'succeeded');
  equal((await mintro.charges(intent)).length, 1, 'charges');
  equal(await mintro.webhooks(intent), ['payment.failed', 'payment.succeeded'], 'webhooks');
});

test('the customer cancels', async ({ mintro, merchant, open }) => {
  const intent = await mintro.create(back(merchant));
  const page = await open();
  await page.goto(intent.payment_url);
  await page.locator('button[value=cancel]').click();
  await page.waitForURL(`${merchant.url}/cancel`);
  equal(await mintro.status(intent), 'cancelled', 'status');
  equal(await mintro.webhooks(intent), [], 'webhooks');
  await page.goto(intent.payment_url);
  equal(await state(page), 'cancelled', 'the page afterwards');
});

test('3-D Secure: completed, failed, abandoned, completed but declined', async ({ mintro, merchant, open }) => {
  const run = async (number, action, wanted, status) => {
    const intent = await mintro.create(back(merchant));
    const page = await open();
    await page.goto(intent.payment_url);
    await type(page, number);
    await payButton(page).click();
    await until(page, 'challenge');
    equal(await mintro.status(intent), 'requires_payment', 'status during the challenge');
    if (action === 'complete') await page.screenshot({ path: join(out, 'pay-challenge.png') });
    await page.locator(`button[value=${action}]`).click();
    await until(page, wanted);
    equal(await mintro.status(intent), status, `status after ${action}`);
    equal((await mintro.charges(intent)).length, status === 'succeeded' ? 1 : 0, 'charges');
    return page;
  };
  await run(cards.challenge, 'complete', 'succeeded', 'succeeded');
  const failed = await run(cards.challenge, 'fail', 'ready', 'requires_payment');
  ok((await failed.locator('#errors').innerText()).includes('bank'), 'the bank is named');
  const left = await run(cards.challenge, 'abandon', 'ready', 'requires_payment');
  ok((await left.locator('#errors').innerText()).includes('not been charged'), 'nothing was charged');
  await run(cards.challengeDeclined, 'complete', 'ready', 'requires_payment');
});

test('a paid one stays paid, also for the Back button', async ({ mintro, merchant, open }) => {
  const intent = await mintro.create(back(merchant));
  const page = await open();
  await page.goto(intent.payment_url);
  await type(page, cards.good);
  await payButton(page).click();
  await page.waitForURL(`${merchant.url}/return`);
  await page.goto(intent.payment_url);
  equal(await state(page), 'succeeded', 'the page');
  equal(await payButton(page).count(), 0, 'buttons that pay');
});

test('an unknown payment is a page of its own', async ({ sandbox, open }) => {
  const page = await open();
  const answer = await page.goto(`${sandbox}/pay/nothing-like-this`);
  equal([answer.status(), await state(page)], [404, 'not_found'], 'status and state');
});

test('when the provider is down the page says so and offers another try', async ({ mintro, merchant, open }) => {
  const intent = await mintro.create(back(merchant));
  await mintro.arm({ operation: 'checkout.view' }, 'error=503');
  const page = await open();
  const answer = await page.goto(intent.payment_url);
  equal([answer.status(), await state(page)], [503, 'down'], 'status and state');
  await page.locator('a.button').click();
  await until(page, 'ready');
});

test('without script: decline, then pay', async ({ mintro, merchant, open }) => {
  const intent = await mintro.create(back(merchant));
  const page = await open({ javaScriptEnabled: false });
  await page.goto(intent.payment_url);
  await payButton(page).click();
  await page.locator('#errors li').first().waitFor();
  equal(await page.locator('#errors li').count(), 3, 'empty fields that are named');
  await type(page, cards.declined);
  await payButton(page).click();
  ok((await page.locator('#errors').innerText()).includes('declined'), 'the decline is shown');
  equal(await page.inputValue('[name=card_number]'), '', 'the number never comes back from the server');
  await type(page, cards.challenge);
  await payButton(page).click();
  await page.locator('button[value=complete]').click();
  await until(page, 'succeeded');
  await page.waitForURL(`${merchant.url}/return`); // by the refresh in <noscript>
  equal((await mintro.charges(intent)).length, 1, 'charges');
});

test('two clicks, and two forms sent at once, charge once', async ({ mintro, merchant, open }) => {
  const intent = await mintro.create(back(merchant));
  const page = await open();
  await page.goto(intent.payment_url);
  await type(page, cards.good);
  await page.evaluate(() => {
    const button = document.querySelector('button[value=pay]');
    button.click();
    button.click();
  });
  await until(page, 'succeeded');
  equal((await mintro.charges(intent)).length, 1, 'charges after two clicks');

  const second = await mintro.create(back(merchant));
  const form = new URLSearchParams({
    action: 'pay', attempt: '0', card_number: cards.declined, card_expiry: '12/39', card_cvc: '123', card_name: 'J',
  });
  const send = () => fetch(second.payment_url, { method: 'POST', body: form }).then((answer) => answer.status);
  const statuses = (await Promise.all([send(), send(), send()])).sort();
  equal(statuses, [402, 409, 409], 'three forms of one attempt');
  equal(await mintro.webhooks(second), ['payment.failed'], 'attempts that reached the card');
});

test('an answer that is lost does not charge twice', async ({ mintro, merchant, open }) => {
  const intent = await mintro.create(back(merchant));
  const page = await open();
  await page.goto(intent.payment_url);
  await type(page, cards.good);
  await mintro.arm({ operation: 'checkout.submit' }, 'drop_response');
  await payButton(page).click();
  await page.locator('#errors h2').waitFor();
  ok((await page.locator('#errors').innerText()).includes('no connection'), 'the network is named');
  equal(await page.inputValue('[name=card_number]'), '4242 4242 4242 4242', 'the number is kept');
  await payButton(page).click();
  await until(page, 'succeeded');
  equal((await mintro.charges(intent)).length, 1, 'charges');
});

test('the form is checked and formatted while it is typed', async ({ mintro, merchant, open }) => {
  const intent = await mintro.create(back(merchant));
  const page = await open();
  await page.goto(intent.payment_url);
  const number = page.locator('[name=card_number]');
  const typed = async (text) => { await number.fill(''); await number.pressSequentially(text); return number.inputValue(); };
  equal(await typed('4242424242424242'), '4242 4242 4242 4242', 'Visa');
  equal(await page.locator('#brand').innerText(), 'VISA', 'brand');
  equal(await typed('378282246310005'), '3782 822463 10005', 'Amex');
  equal(await typed('38000000000006'), '3800 000000 0006', 'Diners');
  await number.fill('4242-4242 4242-4242');
  equal(await number.inputValue(), '4242 4242 4242 4242', 'pasted with dashes');
  const expiry = page.locator('[name=card_expiry]');
  await expiry.pressSequentially('139');
  equal(await expiry.inputValue(), '13 / 9', 'month and year');
  await expiry.fill('12/2039');
  equal(await expiry.inputValue(), '12 / 39', 'autofilled with four digits');
  await expiry.fill('');
  await expiry.pressSequentially('5');
  equal(await expiry.inputValue(), '05 / ', 'a zero before a single digit');
  equal(await page.evaluate(() => document.activeElement.id), 'card_expiry', 'focus stays');

  await page.fill('[name=card_number]', '4242424242424241');
  await page.fill('[name=card_expiry]', '13 / 39');
  await page.fill('[name=card_cvc]', '12');
  await page.fill('[name=card_name]', '');
  await payButton(page).click();
  equal(await page.locator('#errors li').allInnerTexts(), [
    'This card number is not valid.', 'Enter the expiry date as month and year, such as 12 / 30.',
    'The security code has 3 digits.', 'Enter the name on the card.',
  ], 'errors');
  await page.locator('#errors a').first().click();
  equal(await page.evaluate(() => document.activeElement.id), 'card_number', 'links of the summary lead to the field');
  await page.fill('[name=card_number]', cards.good);
  equal(await number.getAttribute('aria-invalid'), null, 'the mark goes when the field is right');
  equal(await page.inputValue('[name=card_expiry]'), '13 / 39', 'other fields keep what was typed');

  await type(page, '4012888888881881');
  await page.fill('[name=card_name]', 'John');
  await payButton(page).click();
  await eventually('the refusal', async () => (await page.locator('#errors').innerText()).includes('not a test card'));
  await type(page, cards.good, { expiry: '01 / 20' });
  await payButton(page).click();
  await eventually('the refusal', async () => (await page.locator('#errors').innerText()).includes('has expired'));
});

test('accessible: labels, descriptions, live regions, reflow, sizes, keyboard', async ({ mintro, merchant, open }) => {
  const intent = await mintro.create(back(merchant));
  const page = await open({ viewport: { width: 320, height: 640 } });
  await page.goto(intent.payment_url);
  const found = await page.evaluate(() => {
    const problems = [];
    if (!document.documentElement.lang) problems.push('no lang');
    if (document.querySelectorAll('h1').length !== 1) problems.push('h1');
    if (document.querySelectorAll('main').length !== 1) problems.push('main');
    for (const input of document.querySelectorAll('input:not([type=hidden])')) {
      if (!input.labels.length) problems.push(`${input.name}: no label`);
      if (!input.autocomplete) problems.push(`${input.name}: no autocomplete`);
      if (input.type === 'number') problems.push(`${input.name}: type number`);
      for (const id of input.getAttribute('aria-describedby').split(' ')) {
        if (!document.getElementById(id)) problems.push(`${input.name}: no #${id}`);
      }
      if (parseFloat(getComputedStyle(input).fontSize) < 16) problems.push(`${input.name}: small text`);
      const live = document.getElementById(`${input.name}-error`);
      if (!live || !live.getAttribute('aria-live')) problems.push(`${input.name}: no live region`);
    }
    for (const target of document.querySelectorAll('main button, summary, footer a')) {
      const box = target.getBoundingClientRect();
      if (box.height && box.height < 24) problems.push(`small target ${target.textContent}`);
    }
    if (document.documentElement.scrollWidth > innerWidth) problems.push(`scrolls sideways (${document.documentElement.scrollWidth})`);
    if (document.querySelector('[style], script:not([src]):not([type="application/json"]), [onclick]')) problems.push('inline code');
    if (document.querySelector('#errors').getAttribute('role') !== 'alert') problems.push('no alert region');
    return problems;
  });
  equal(found, [], 'problems');

  // Contrast of all text, light and dark, by WCAG's formula.
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    equal(await page.evaluate(contrastProblems), [], `contrast, ${colorScheme}`);
  }

  // The whole form with the keyboard alone.
  await page.locator('[name=card_number]').focus();
  await page.keyboard.type(cards.good);
  for (const text of ['1239', '123']) { await page.keyboard.press('Tab'); await page.keyboard.type(text); }
  await page.keyboard.press('Enter');
  await until(page, 'succeeded');
});

function contrastProblems() {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const problems = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest('.hidden')) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(background(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) problems.push(`${element.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return problems;
}

test('in Korean, by the browser or by ?locale=', async ({ mintro, merchant, open }) => {
  const intent = await mintro.create({
    ...back(merchant), amount: 12000, currency: 'KRW', name: '홍길동', order_items: [{ name: '원두', quantity: 1, price: 12000 }],
  });
  const page = await open({ locale: 'ko-KR' });
  await page.goto(intent.payment_url);
  equal(await page.locator('html').getAttribute('lang'), 'ko', 'lang');
  ok((await payButton(page).innerText()).includes('12,000'), 'won have no decimals');
  ok(!(await payButton(page).innerText()).includes('.00'), 'won have no decimals');
  await payButton(page).click();
  ok((await page.locator('#errors').innerText()).includes('카드 번호를 입력해 주세요.'), 'errors in Korean');
  await page.locator('footer a[lang=en]').click();
  equal(await page.locator('html').getAttribute('lang'), 'en', 'lang after the switch');
  await type(page, cards.declined);
  await payButton(page).click();
  await eventually('the decline', async () => (await page.locator('#errors').innerText()).includes('Your card was declined'));
});

test('a strict policy, no cookies, no third parties, 25 kB at most', async ({ mintro, merchant, sandbox, open }) => {
  const intent = await mintro.create(back(merchant));
  const page = await open();
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  const answer = await page.goto(intent.payment_url);
  const headers = answer.headers();
  const policy = headers['content-security-policy'] || '';
  for (const part of ["default-src 'none'", "frame-ancestors 'none'", "script-src 'self'", "style-src 'self'"]) {
    ok(policy.includes(part), `the policy lacks ${part}: ${policy}`);
  }
  ok(!/unsafe/.test(policy), `the policy is unsafe: ${policy}`);
  equal(headers['x-content-type-options'], 'nosniff', 'nosniff');
  ok(/no-store/.test(headers['cache-control'] || ''), 'no-store');
  equal(await page.context().cookies(), [], 'cookies');
  equal(asked.filter((url) => !url.startsWith(sandbox)), [], 'requests elsewhere');
  const parts = [await answer.body(), ...['pay.css', 'pay.js', 'icon.svg'].map((name) => readFileSync(join(root, 'web/pay', name)))];
  const size = parts.reduce((sum, part) => sum + gzipSync(part).length, 0);
  ok(size <= 25 * 1024, `the page weighs ${size} bytes`);
});

// ---- in a frame ----

async function framed({ mintro, merchant, open }, order) {
  const intent = await mintro.create({ integration_type: 'iframe', success_url: `${merchant.url}/return`, ...order });
  const page = await open();
  await page.goto(`${merchant.url}/shop?frame=${encodeURIComponent(intent.payment_url)}`);
  const frame = page.frameLocator('iframe');
  const heard = async (event) => (await eventually(event, async () =>
    (await page.evaluate(() => window.messages)).find((m) => m.data.event === event))).data;
  return { intent, page, frame, heard };
}

test('the parent window hears all five events, with their payloads', async (world) => {
  const { intent, page, frame, heard } = await framed(world);
  const who = { intent_id: intent.intent_id, client_reference_id: intent.reference_id };
  const started = await heard('payment.started');
  equal([started.intent_id, started.client_reference_id], [who.intent_id, who.client_reference_id], 'payment.started');
  ok(typeof started.message === 'string', 'a message');

  await frame.locator('button[value=pay]').click();
  const error = await heard('error');
  equal([error.type, typeof error.message], ['error', 'string'], 'error');

  await type(frame, cards.declined);
  await frame.locator('button[value=pay]').click();
  const failed = await heard('payment.failed');
  equal([failed.intent_id, failed.client_reference_id, failed.status], [who.intent_id, who.client_reference_id, 'failed'], 'payment.failed');
  ok(failed.message.includes('declined'), 'why');

  await frame.locator('[name=card_number]').fill(cards.good);
  await frame.locator('button[value=pay]').click();
  const success = await heard('payment.success');
  equal([success.intent_id, success.client_reference_id, success.status], [who.intent_id, who.client_reference_id, 'succeeded'], 'payment.success');
  equal(page.url().startsWith(world.merchant.url), true, 'the shop is not navigated away');

  const messages = await page.evaluate(() => window.messages);
  equal([...new Set(messages.map((m) => m.origin))], [world.sandbox], 'origins');
  equal(messages.filter((m) => m.data.event === 'payment.started').length, 1, 'started once');
  ok(!JSON.stringify(messages).match(/4242|4000/), 'no card in any message');

  const other = await framed(world);
  await other.frame.locator('button[value=cancel]').click();
  equal((await other.heard('payment.canceled')).status, 'canceled', 'payment.canceled');
});

test('without a success_url the page that embeds it hears the events', async (world) => {
  const { frame, heard, page } = await framed(world, { success_url: undefined });
  await heard('payment.started');
  await type(frame, cards.good);
  await frame.locator('button[value=pay]').click();
  equal((await heard('payment.success')).status, 'succeeded', 'payment.success');
  equal(page.complaints, [], 'complaints');
});

test('nobody else may frame the page or hear its messages', async ({ mintro, merchant, open }) => {
  const elsewhere = merchant.url.replace('127.0.0.1', 'localhost');
  for (const order of [{ integration_type: 'iframe', success_url: `${merchant.url}/return` }, back(merchant)]) {
    const intent = await mintro.create(order);
    const page = await open();
    await page.goto(`${elsewhere}/shop?frame=${encodeURIComponent(intent.payment_url)}`);
    await eventually('the refusal', () => page.complaints.find((text) => text.includes('frame-ancestors')));
    equal(await page.evaluate(() => window.messages), [], 'messages');
  }
});

// The clock only goes forward, for every test after it too: this one is the last of the file.
test('an expired link says so', async ({ mintro, merchant, open }) => {
  const intent = await mintro.create(back(merchant));
  await mintro.advance('25h');
  const page = await open();
  const answer = await page.goto(intent.payment_url);
  equal([answer.status(), await state(page), await mintro.status(intent)], [410, 'expired', 'expired'], 'expired');
  await page.screenshot({ path: join(out, 'pay-expired.png') });
});

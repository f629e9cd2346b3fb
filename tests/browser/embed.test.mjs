// web/embed.js on a merchant's own page: the payment page in a place of it and over it, its messages, callbacks and end; and the
// listener that Mintro's page shows, word for word.
import { join } from 'node:path';
import { cards, equal, eventually, ok, out, test, type } from './harness.mjs';

// The merchant's page with embed.js, its button not yet pressed; page.events is what its callbacks were told.
async function shop({ sandbox, mintro, merchant, open }, { order, view } = {}) {
  const intent = await mintro.create({ integration_type: 'iframe', success_url: `${merchant.url}/return`, ...order });
  const page = await open(view);
  await page.goto(`${merchant.url}/embed?script=${encodeURIComponent(`${sandbox}/assets/embed.js`)}`);
  await page.evaluate((url) => {
    window.url = url;
    window.told = [];
    const tell = (name) => (message) => told.push([name, message && message.event].filter(Boolean).join(' '));
    window.options = {
      title: 'Pay at the shop', onEvent: tell('event'), onSuccess: tell('success'), onCancel: tell('cancel'), onClose: tell('close'),
    };
    window.outcome = (checkout) => checkout.done.then((m) => told.push(`resolved ${m.status}`), (m) => told.push(`rejected ${m.event}`));
  }, intent.payment_url);
  return { intent, page, told: () => page.evaluate(() => told) };
}
const heard = (told, what) => eventually(what, async () => (await told()).includes(what));
const frameOf = (page) => page.frameLocator('iframe');

test('embed: in a place of the page, from the start to the success', async (world) => {
  const { intent, page, told } = await shop(world);
  await page.evaluate(() => { window.checkout = Mintage.embed('#place', url, options); outcome(checkout); });
  await heard(told, 'event payment.started');
  equal(await page.locator('#place iframe').getAttribute('title'), 'Pay at the shop', 'the frame\'s title');
  await type(frameOf(page), cards.declined);
  await frameOf(page).locator('button[value=pay]').click();
  await heard(told, 'event payment.failed');
  await type(frameOf(page), cards.good);
  await frameOf(page).locator('button[value=pay]').click();
  await heard(told, 'resolved succeeded');
  equal((await told()).filter((line) => !line.startsWith('event')), ['success payment.success', 'resolved succeeded'], 'callbacks');
  equal(await world.mintro.status(intent), 'succeeded', 'the intent');
  await page.evaluate(() => checkout.destroy());
  equal(await page.locator('iframe').count(), 0, 'frames left');
  equal(page.complaints, [], 'complaints');
});

test('embed: over the page; success is shown, told, and the overlay goes', async (world) => {
  const { intent, page, told } = await shop(world);
  await page.evaluate(() => {
    const button = document.querySelector('#buy');
    button.onclick = () => { window.checkout = Mintage.open(url, options); outcome(checkout); };
  });
  await page.locator('#buy').click();
  await heard(told, 'event payment.started');
  equal(await page.locator('dialog').evaluate((d) => [d.open, d.matches(':modal')]), [true, true], 'a modal dialog');
  await page.screenshot({ path: join(out, 'embed-overlay.png') });
  await type(frameOf(page), cards.good);
  await frameOf(page).locator('button[value=pay]').click();
  await heard(told, 'success payment.success');
  await heard(told, 'close');
  ok((await told()).includes('resolved succeeded'), 'the promise');
  equal(await page.locator('dialog').count(), 0, 'dialogs left');
  equal(await page.evaluate(() => document.activeElement.id), 'buy', 'the focus is back');
  equal(await world.mintro.status(intent), 'succeeded', 'the intent');
  equal(page.complaints, [], 'complaints');
});

test('embed: the overlay is closed by its button, by Escape, and by the merchant; the payment stays open', async (world) => {
  for (const close of [
    (page) => page.getByRole('button', { name: 'Close' }).click(),
    async (page) => { await page.getByRole('button', { name: 'Close' }).focus(); await page.keyboard.press('Escape'); },
    (page) => page.evaluate(() => checkout.close()),
  ]) {
    const { intent, page, told } = await shop(world, { view: { viewport: { width: 390, height: 844 } } });
    await page.evaluate(() => { window.checkout = Mintage.open(url, options); outcome(checkout); });
    await heard(told, 'event payment.started');
    await page.screenshot({ path: join(out, 'embed-phone.png') });
    await close(page);
    await heard(told, 'close');
    await heard(told, 'rejected destroyed');
    equal([await page.locator('dialog').count(), await world.mintro.status(intent)], [0, 'requires_payment'], 'afterwards');
    await page.evaluate(() => { window.checkout = Mintage.open(url, options); });
    await eventually('it opens again', async () => (await told()).filter((line) => line === 'event payment.started').length === 2);
  }
});

test('embed: the customer cancels in the overlay', async (world) => {
  const { intent, page, told } = await shop(world);
  await page.evaluate(() => { window.checkout = Mintage.open(url, options); outcome(checkout); });
  await frameOf(page).locator('button[value=cancel]').click();
  await heard(told, 'cancel payment.canceled');
  await heard(told, 'rejected payment.canceled');
  await heard(told, 'close');
  equal(await world.mintro.status(intent), 'cancelled', 'the intent');
});

test('embed: messages of others are nothing; a URL that is none is refused and leaves nothing', async (world) => {
  const { page, told } = await shop(world);
  await page.evaluate(() => { window.checkout = Mintage.open(url, options); });
  await heard(told, 'event payment.started');
  await page.evaluate(() => { window.postMessage({ event: 'payment.success', status: 'succeeded' }, '*'); });
  await page.evaluate(() => new Promise((done) => { addEventListener('message', done, { once: true }); postMessage('last', '*'); }));
  equal((await told()).filter((line) => line.includes('success')), [], 'believed');
  const thrown = await page.evaluate(() => { try { Mintage.open('javascript:alert(1)'); } catch (e) { return e.message; } });
  ok(/wanted an http or https URL/.test(thrown), `thrown: ${thrown}`);
  equal(await page.locator('dialog').count(), 1, 'dialogs');
});

// As Mintro's page prints it.
const listener = `window.addEventListener('message', function(event) {
    const data = event.data;

    // Validate origin if necessary
    // if (event.origin !== 'https://mintro.paywithwallet.net') return;

    switch (data.event) {
        case 'payment.started':
            console.log('User opened checkout:', data.intent_id);
            break;
        case 'payment.success':
            console.log('Payment successful!', data);
            // Close modal, redirect user, etc.
            break;
        case 'payment.failed':
            console.error('Payment failed', data.message);
            break;
        case 'payment.canceled':
            console.warn('User canceled payment');
            break;
        case 'error':
            // Validation errors or system errors
            alert(data.message);
            break;
    }
});`;

test('the listener that Mintro\'s page shows hears all five events, with their payloads', async ({ mintro, merchant, open }) => {
  const visit = async () => {
    const intent = await mintro.create({ integration_type: 'iframe', success_url: `${merchant.url}/return` });
    const page = await open();
    const lines = [], alerts = [];
    page.on('console', (line) => lines.push(line.text()));
    page.on('dialog', (dialog) => { alerts.push(dialog.message()); dialog.dismiss(); });
    await page.addInitScript(listener);
    await page.goto(`${merchant.url}/shop?frame=${encodeURIComponent(intent.payment_url)}`);
    const says = (text) => eventually(text, () => lines.some((line) => line.includes(text)));
    await says(`User opened checkout: ${intent.intent_id}`);
    return { intent, page, frame: frameOf(page), says, alerts };
  };
  const { intent, page, frame, says, alerts } = await visit();
  await frame.locator('button[value=pay]').click();
  await eventually('an alert', () => alerts.length > 0);
  await type(frame, cards.declined);
  await frame.locator('button[value=pay]').click();
  await says('Payment failed');
  await type(frame, cards.good);
  await frame.locator('button[value=pay]').click();
  await says('Payment successful!');
  const messages = await page.evaluate(() => messages.map((m) => m.data));
  const of = (event) => messages.find((m) => m.event === event);
  for (const [event, status] of [['payment.started'], ['payment.failed', 'failed'], ['payment.success', 'succeeded']]) {
    const { message, ...rest } = of(event);
    ok(typeof message === 'string' && message, `${event} has a message`);
    equal(rest, { event, intent_id: intent.intent_id, client_reference_id: intent.reference_id, ...(status && { status }) }, event);
  }
  const error = of('error');
  equal([error.type, typeof error.message], ['error', 'string'], 'error');

  const other = await visit();
  await other.frame.locator('button[value=cancel]').click();
  await other.says('User canceled payment');
  const { message, ...canceled } = (await other.page.evaluate(() => messages.map((m) => m.data))).at(-1);
  equal(canceled, { event: 'payment.canceled', intent_id: other.intent.intent_id, client_reference_id: other.intent.reference_id, status: 'canceled' }, 'canceled');
  ok(message, 'canceled has a message');
});

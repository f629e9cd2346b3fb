// What the tests measure of a page in whatever state it is: sizes, labels, contrast.
import { equal } from './harness.mjs';

// What makes a page usable on a small screen and by everybody: measured, in whatever state it is.
export async function sound(page, what) {
  await page.waitForLoadState('load'); // with its style
  const faults = await page.evaluate(() => {
    const found = [];
    if (document.documentElement.scrollWidth > innerWidth) found.push(`scrolls sideways: ${document.documentElement.scrollWidth}`);
    if (document.querySelectorAll('h1').length !== 1) found.push('not one h1');
    if (!document.documentElement.lang) found.push('no language');
    for (const input of document.querySelectorAll('input:not([type=hidden])')) {
      if (!input.labels.length) found.push(`${input.name} has no label`);
      if (parseFloat(getComputedStyle(input).fontSize) < 16) found.push(`${input.name} is small`);
    }
    const visible = (e) => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== 'hidden';
    for (const e of [...document.querySelectorAll('button, a, summary')].filter(visible)) {
      const box = e.getBoundingClientRect();
      if (box.height < 24 || box.width < 24) found.push(`${e.textContent.trim()} is ${box.width}x${box.height}`);
    }
    const channel = (v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const light = (c) => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
    const rgb = (s) => (s.match(/[\d.]+/g) || []).map(Number);
    const ground = (e) => {
      for (; e; e = e.parentElement) {
        const c = rgb(getComputedStyle(e).backgroundColor);
        if (c.length === 3 || c[3] > .9) return c;
      }
      return [255, 255, 255];
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const e = node.parentElement;
      if (!node.data.trim() || !visible(e) || e.closest('script')) continue;
      const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
      if ((a + .05) / (b + .05) < 4.5) found.push(`contrast ${((a + .05) / (b + .05)).toFixed(2)}: ${node.data.trim().slice(0, 30)}`);
    }
    return [...new Set(found)];
  });
  equal(faults, [], what);
}

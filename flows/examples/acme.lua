-- A provider of your own, in a page: Acme, which takes cards. Copy it beside your flows as lib/acme.lua;
-- requiring "lib.acme" there gives its operations, acme.charges.create { ... }. Its account is configuration:
--   {"providers": {"acme": {"api_key": "...", "webhook_secret": "..."}}}   or MINTAGE_PROVIDER_ACME__API_KEY

local provider = require "mintage.provider"

return provider.define {
  name        = "acme",
  title       = "Acme Cards",
  base_url    = "https://api.acme.example",
  credentials = { api_key = "secret", webhook_secret = "secret?" },
  auth        = { bearer = "api_key" },
  idempotency = { header = "Idempotency-Key", lasts = "24h" },
  money       = { amounts = "minor", currency = "currency", answers = { "amount", "refunded" } },
  limits      = { per_second = 50, at_once = 16, timeout = "20s" },

  -- Where an answer says what went wrong, and what its codes (or, failing that, HTTP statuses) mean to us.
  error  = { code = "error.code", message = "error.message" },
  errors = {
    card_declined      = "declined",
    stolen_card        = { kind = "declined", hard = true, meaning = "Ask for another card" },
    insufficient_funds = { kind = "insufficient_funds", retryable = true },
    in_progress        = { kind = "conflict", unknown = true, meaning = "Its first request is under way" },
  },

  operations = {
    ["charges.create"] = {
      method = "POST", path = "/v1/charges", repeats = "keyed", moves_money = true,
      doc     = "Charges a card, or holds the amount until it is captured.",
      returns = "id, status, amount, reference",
      params  = { amount = "money", card = "secret", capture = "boolean?", reference = "string?" },
      id      = "reference", -- made when left out, so that the charge can be found by it
      find    = { read = "charges.find", same = { "amount" } },
      refused = { declined = { status = "failed" } }, code = "decline_code",
    },
    ["charges.get"]  = { method = "GET", path = "/v1/charges/{id}", params = { id = "string" } },
    ["charges.find"] = {
      method = "GET", path = "/v1/charges", params = { reference = "string" }, answer = "data.1",
    },
    ["charges.void"] = {
      method = "POST", path = "/v1/charges/{id}/void", repeats = "unsafe", params = { id = "string" },
      find = { read = "charges.get", done = { status = "voided" }, not_sent = { status = "authorized" } },
    },
    ["charges.refund"] = {
      method = "POST", path = "/v1/charges/{id}/refund", repeats = "keyed", moves_money = true,
      params = { id = "string", amount = "money?" },
    },
    ["charges.settled"] = {
      read = "charges.get", topic = "charge", at_rest = { status = { "paid", "failed", "voided" } },
    },
    ["charges.release"] = {
      read = "charges.get", doc = "Gives back what a charge took: voids what is held, refunds what is paid.",
      release = {
        { when = { status = "authorized" }, call = "charges.void" },
        { when = { status = "paid" },       call = "charges.refund" },
        { when = { status = "processing" }, later = true },
        { when = { status = { "failed", "voided", "refunded" } } },
      },
    },
  },

  webhook = {
    verify = {
      header = "Acme-Signature", field = "v1", timestamp = "t", within = "5m", of = "{timestamp}.{body}",
      secret = "webhook_secret",
    },
    event  = "type", id = "id", object = "data",
    events = { ["charge.*"] = { topic = "charge", key = "data.id" } },
  },
}

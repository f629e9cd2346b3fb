/* Money for people: symbol, grouping and marks as the Unicode CLDR has them for each language.
 * Invariant: for showing only; nothing reads this text back. No state; any thread. */
#include "base/buf.h"
#include "base/text.h"
#include "money/decimal.h"
#include <string.h>

#define NBSP "\xC2\xA0"       /* between amount and symbol, so that a line never breaks there */
#define NARROW "\xE2\x80\xAF" /* French groups */

struct locale {
    const char *name; /* "de", or with a region where it differs: "de-ch" */
    const char *group, *point;
    bool symbol_first;
    const char *gap; /* between the symbol and the number */
    int first_group; /* digits that a number must have before the last group to be grouped: 1, or 2 ("1234"
                        stays) */
};

static const struct locale locales[] = {
    {"en", ",", ".", true, "", 1},
    {"en-in", ",", ".", true, "", 1},
    {"ko", ",", ".", true, "", 1},
    {"ja", ",", ".", true, "", 1},
    {"zh", ",", ".", true, "", 1},
    {"th", ",", ".", true, "", 1},
    {"de", ".", ",", false, NBSP, 1},
    {"de-at", NBSP, ",", true, NBSP, 1},
    {"de-ch", "\xE2\x80\x99", ".", true, NBSP, 1},
    {"fr", NARROW, ",", false, NBSP, 1},
    {"fr-ch", NARROW, ".", false, NBSP, 1},
    {"es", ".", ",", false, NBSP, 2},
    {"es-mx", ",", ".", true, "", 1},
    {"it", ".", ",", false, NBSP, 1},
    {"nl", ".", ",", true, NBSP, 1},
    {"pt", ".", ",", true, NBSP, 1},
    {"pt-pt", NBSP, ",", false, NBSP, 2},
    {"pl", NBSP, ",", false, NBSP, 2},
    {"sv", NBSP, ",", false, NBSP, 1},
    {"da", ".", ",", false, NBSP, 1},
    {"nb", NBSP, ",", false, NBSP, 1},
    {"fi", NBSP, ",", false, NBSP, 1},
    {"cs", NBSP, ",", false, NBSP, 1},
    {"ru", NBSP, ",", false, NBSP, 1},
    {"uk", NBSP, ",", false, NBSP, 1},
    {"tr", ".", ",", true, "", 1},
    {"vi", ".", ",", false, NBSP, 1},
    {"id", ".", ",", true, NBSP, 1},
};

/* Symbols that are understood anywhere; `home` is the language that calls the currency by its short symbol
 * where others share it. Currencies that are not here show their code. */
static const struct symbol {
    char code[4];
    const char *anywhere, *home_locale, *home;
} symbols[] = {
    {"AUD", "A$", "en-au", "$"},        {"BRL", "R$", NULL, NULL},    {"CAD", "CA$", "en-ca", "$"},
    {"CNY", "CN¥", "zh", "¥"},          {"CZK", "CZK", "cs", "Kč"},   {"DKK", "DKK", "da", "kr."},
    {"EUR", "€", NULL, NULL},           {"GBP", "£", NULL, NULL},     {"HKD", "HK$", NULL, NULL},
    {"IDR", "IDR", "id", "Rp"},         {"ILS", "₪", NULL, NULL},     {"INR", "₹", NULL, NULL},
    {"JPY", "¥", "ja", "\xEF\xBF\xA5"}, {"KRW", "₩", NULL, NULL},     {"MXN", "MX$", "es-mx", "$"},
    {"NOK", "NOK", "nb", "kr"},         {"NZD", "NZ$", "en-nz", "$"}, {"PHP", "₱", NULL, NULL},
    {"PLN", "PLN", "pl", "zł"},         {"RUB", "RUB", "ru", "₽"},  {"SEK", "SEK", "sv", "kr"},
    {"THB", "THB", "th", "฿"},          {"TRY", "TRY", "tr", "₺"},    {"TWD", "NT$", NULL, NULL},
    {"UAH", "UAH", "uk", "₴"},          {"USD", "$", NULL, NULL},     {"VND", "₫", NULL, NULL},
};

/* "de_AT.UTF-8" as "de-at". */
static void normalise(const char *locale, char out[16]) {
    size_t n = 0;
    for (; n < 15 && locale[n] != '\0' && locale[n] != '.' && locale[n] != '@'; n++) {
        char c = locale[n];
        out[n] = (char)(c == '_' ? '-' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    out[n] = '\0';
}

static const struct locale *find_locale(const char *name) {
    size_t language = strcspn(name, "-");
    const struct locale *found = &locales[0];
    for (size_t i = 0; i < sizeof(locales) / sizeof(locales[0]); i++) {
        if (strcmp(locales[i].name, name) == 0) return &locales[i];
        if (strlen(locales[i].name) == language && strncmp(locales[i].name, name, language) == 0)
            found = &locales[i];
    }
    return found;
}

static const char *find_symbol(const char *code, const char *locale) {
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        if (strcmp(symbols[i].code, code) != 0) continue;
        const char *home = symbols[i].home_locale;
        bool at_home = home != NULL && strncmp(locale, home, strlen(home)) == 0;
        return at_home ? symbols[i].home : symbols[i].anywhere;
    }
    return code;
}

/* "1234567.89" with the marks of a language; `digits` has no sign. */
static void add_grouped(struct mt_buf *b, const char *digits, const struct locale *l, bool indian) {
    size_t whole = strcspn(digits, ".");
    bool grouped = whole >= 3 + (size_t)l->first_group;
    for (size_t i = 0; i < whole; i++) {
        size_t left = whole - i;
        bool boundary = i > 0 && (indian && left > 3 ? (left - 3) % 2 == 0 : left % 3 == 0);
        if (grouped && boundary) mt_buf_adds(b, l->group);
        mt_buf_addc(b, digits[i]);
    }
    if (digits[whole] == '\0') return;
    mt_buf_adds(b, l->point);
    mt_buf_adds(b, digits + whole + 1);
}

bool mt_money_display(const struct mt_money *m, const char *locale, char *out, size_t size) {
    char name[16], text[36];
    normalise(locale == NULL ? "en" : locale, name);
    const struct locale *l = find_locale(name);
    const char *symbol = find_symbol(m->currency, name);
    int exponent = mt_currency_exponent(m->currency, NULL);
    decimal_format(m->minor, exponent < 0 ? 0 : exponent, text);
    /* A symbol made of letters needs a gap even where "$" has none. */
    char last = symbol[strlen(symbol) - 1];
    const char *gap = l->gap[0] == '\0' && last >= 'A' && last <= 'Z' ? NBSP : l->gap;
    struct mt_buf b;
    mt_buf_init(&b, 256);
    if (m->minor < 0) mt_buf_addc(&b, '-');
    if (l->symbol_first) mt_buf_addf(&b, "%s%s", symbol, gap);
    add_grouped(&b, text + (m->minor < 0), l, strcmp(name, "en-in") == 0);
    if (!l->symbol_first) mt_buf_addf(&b, "%s%s", gap, symbol);
    bool fits = mt_copy(out, size, b.data);
    mt_buf_clear(&b);
    return fits;
}

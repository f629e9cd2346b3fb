/* One setting's value against its row: reading it, showing it, refusing it. Private to base/. No state; any
 * thread. */
#pragma once
#include "base/config.h"

/* Whether `text` is a value of the row; *number is what it stands for when the type is a number (0 or 1 of a
 * boolean). */
bool setting_parse(const struct mt_setting *row, const char *text, int64_t *number);
/* A text as it may be shown: not the value of a secret, not a password inside a URL. */
void setting_show(const struct mt_setting *row, const char *text, char *out, size_t size);
/* "WHAT: found FOUND, wanted ..."; `what` names the value: "--port", "MINTAGE_PORT", "configuration file x:
 * port". Returns -1. */
int setting_refuse(const struct mt_setting *row, const char *what, const char *found, struct mt_error *e);
/* The same for a text, which is quoted as setting_show allows. */
int setting_refuse_text(const struct mt_setting *row, const char *what, const char *text, struct mt_error *e);

/* The data folder: where it is, the token in it. Files in it are the owner's alone. No state; any thread. */
#pragma once
#include "base/error.h"
#include <stddef.h>

/* Makes the folder (mode 0700) and its parents (as umask says) where they are missing. */
int mt_data_make(const char *dir, struct mt_error *e);
/* DIR/NAME. */
int mt_data_path(const char *dir, const char *name, char *out, size_t size, struct mt_error *e);
/* Reads the admin token of DIR; MT_NOT_FOUND when there is none. */
int mt_data_read_token(const char *dir, char *out, size_t size, struct mt_error *e);
/* Reads it, or makes it when there is none. */
int mt_data_token(const char *dir, char *out, size_t size, struct mt_error *e);

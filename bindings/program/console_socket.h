/* The console's Unix socket: DATA/console.sock, for whoever may read the data folder. */
#pragma once
#include "console_private.h"

int console_socket_open(struct mt_console *c, struct mt_error *e);
/* Takes no more connections, ends those there are, takes the socket away. */
void console_socket_close(struct mt_console *c);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A mosquitto of the tests' own, which can be killed, stopped and started again. */
#pragma once

#include <glib.h>

typedef struct {
    char *folder, *config;
    guint port; /* at 127.0.0.1 alone, unless the configuration was written anew */
    GPid pid;
} Broker;

/* With what is added to the configuration; does not start it. */
void broker_new(Broker *b, const char *more);
/* Waits until it takes connections at 127.0.0.1. */
void broker_start(Broker *b);
void broker_kill(Broker *b, int how);
/* Kills it if it runs, and removes its folder. */
void broker_end(Broker *b);
char *broker_location(const Broker *b);

/* ca.pem, cert.pem and cert.key in the folder, for a server of this name. */
void make_certificates(const char *folder, const char *name);

/* Where a program is; fails if it is missing. */
char *program(const char *name);
/* Runs it, and fails if it does. */
void run(const char *const *argv);

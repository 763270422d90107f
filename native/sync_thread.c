#include "sync_thread.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

struct walb_sync_thread {
    pthread_t thread;
    sem_t begun;
    int fd, event_fd;
    atomic_int result;
    atomic_bool is_stopping;
};

static void *run(void *argument)
{
    static const uint64_t ONE = 1;
    walb_sync_thread *t = argument;

    for (;;) {
        while (sem_wait(&t->begun))
            ;
        if (atomic_load(&t->is_stopping))
            return NULL;
        atomic_store(&t->result, fdatasync(t->fd) ? -errno : 0);
        while (write(t->event_fd, &ONE, sizeof ONE) < 0 && errno == EINTR)
            ;
    }
}

/* Signals are for the program's own threads. */
static int start(walb_sync_thread *t)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

walb_sync_thread *walb_sync_thread_new(int fd, int event_fd)
{
    walb_sync_thread *t = malloc(sizeof *t);
    int error;

    if (!t)
        return NULL;
    t->fd = fd;
    t->event_fd = event_fd;
    atomic_init(&t->result, 0);
    atomic_init(&t->is_stopping, 0);
    sem_init(&t->begun, 0, 0);
    error = start(t);
    if (error) {
        sem_destroy(&t->begun);
        free(t);
        errno = error;
        return NULL;
    }
    return t;
}

void walb_sync_thread_free(walb_sync_thread *t)
{
    atomic_store(&t->is_stopping, 1);
    sem_post(&t->begun);
    pthread_join(t->thread, NULL);
    sem_destroy(&t->begun);
    free(t);
}

void walb_sync_thread_begin(walb_sync_thread *t)
{
    sem_post(&t->begun);
}

int walb_sync_thread_result(const walb_sync_thread *t)
{
    return atomic_load(&t->result);
}

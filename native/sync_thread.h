/* A thread that syncs one file whenever it is told to, and says so by an eventfd: with Python's lock in no step of it,
 * a sync takes little longer than its system call. */
#ifndef WALB_SYNC_THREAD_H
#define WALB_SYNC_THREAD_H

/* cffi-begin */
typedef struct walb_sync_thread walb_sync_thread;

/* The thread ends in walb_sync_thread_free, both descriptors must live until then. NULL, with errno, when there can be
 * none. */
walb_sync_thread *walb_sync_thread_new(int fd, int event_fd);
/* Waits for a sync that was begun. */
void walb_sync_thread_free(walb_sync_thread *t);

/* Begins a sync (fdatasync), one at a time; its end adds 1 to the eventfd. */
void walb_sync_thread_begin(walb_sync_thread *t);
/* Of the last one, when it has ended: 0 or a negated errno. */
int walb_sync_thread_result(const walb_sync_thread *t);
/* cffi-end */

#endif

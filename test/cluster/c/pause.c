/* Holds a pod's namespaces and reaps its orphans. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void down(int s) {
  (void)s;
  _exit(0);
}

static void reap(int s) {
  (void)s;
  while (waitpid(-1, 0, WNOHANG) > 0) {
  }
}

int main(void) {
  struct sigaction a = {.sa_handler = down}, r = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
  sigaction(SIGINT, &a, 0);
  sigaction(SIGTERM, &a, 0);
  sigaction(SIGCHLD, &r, 0);
  for (;;) pause();
}

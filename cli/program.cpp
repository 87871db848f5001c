#include "program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace cli {
namespace {

constexpr int not_found = 127, not_executable = 126, not_started = 1;

// What is ours to take and to pass on: all but what the kernel says of this process itself.
sigset_t all_to_take() {
  sigset_t out;
  ::sigfillset(&out);
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPIPE}) ::sigdelset(&out, own);
  return out;
}

// Held back, signals are taken one after the other by sigwaitinfo: nothing is interrupted, and none meets a process
// that has been waited for already.
class signals_held_back {
 public:
  signals_held_back() : taken(all_to_take()) {
    struct sigaction normal {};
    normal.sa_handler = SIG_DFL;
    ::sigaction(SIGCHLD, &normal, &child_before_);  // where it was ignored there would be no status to wait for
    ::sigprocmask(SIG_BLOCK, &taken, &mask_before_);
  }
  void undo_in_child() const {
    ::sigaction(SIGCHLD, &child_before_, nullptr);
    ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
  }

  const sigset_t taken;

 private:
  sigset_t mask_before_;
  struct sigaction child_before_;
};

// systemd says which process it means: us, who stand in the program's place.
void take_over_from(pid_t parent) {
  for (const char* name : {"LISTEN_PID", "WATCHDOG_PID"}) {
    const char* meant = std::getenv(name);
    if (meant != nullptr && meant == std::to_string(parent)) ::setenv(name, std::to_string(::getpid()).c_str(), 1);
  }
}

[[noreturn]] void become(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& each : command) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  const int code = errno;
  std::fprintf(stderr, "fastudp: %s can't be run: %s\n", arguments[0], std::strerror(code));
  ::_exit(code == ENOENT ? not_found : not_executable);
}

bool is_in_foreground() {
  const int terminal = ::open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return false;
  const bool out = ::tcgetpgrp(terminal) == ::getpgrp();
  ::close(terminal);
  return out;
}

// The shell that waits for us has to see that its job has stopped. Whoever stops the program alone by SIGSTOP continues
// it alone as well, unless that shell is waiting.
void stop_as_well(int by) {
  if (by == SIGSTOP && !is_in_foreground()) return;
  sigset_t stop;
  ::sigemptyset(&stop);
  ::sigaddset(&stop, SIGTSTP);
  ::kill(::getpid(), SIGTSTP);
  ::sigprocmask(SIG_UNBLOCK, &stop, nullptr);  // stops here, until somebody continues us
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
}

// The terminal sends to its whole foreground group, and a program to its own, which may be ours.
bool has_it_already(pid_t to, const siginfo_t& info) {
  const bool from_kernel = info.si_code == SI_KERNEL;
  return from_kernel ? ::getpgid(to) == ::getpgrp() : info.si_code <= 0 && info.si_pid == to;
}

void pass_on_to(pid_t to, const siginfo_t& info) {
  if (!has_it_already(to, info)) ::kill(to, info.si_signo);
}

class family {
 public:
  explicit family(pid_t program) : program_(program) {}

  // Takes note of all that have ended or stopped. False: nobody is left.
  bool look() {
    for (;;) {
      int state = 0;
      const pid_t which = ::waitpid(-1, &state, WNOHANG | WUNTRACED);
      if (which == 0) return true;
      if (which < 0) return false;
      if (which == program_) program_is(state);
    }
  }

  // To the program, and when that has ended to those that it has left behind.
  void pass_on(const siginfo_t& info) const {
    if (program_ != 0) return pass_on_to(program_, info);
    const std::string self = std::to_string(::getpid());
    std::ifstream children("/proc/" + self + "/task/" + self + "/children");
    for (pid_t each = 0; children >> each;) pass_on_to(each, info);
  }

  int status() const { return status_; }

 private:
  void program_is(int state) {
    if (WIFSTOPPED(state)) return stop_as_well(WSTOPSIG(state));
    status_ = WIFSIGNALED(state) ? 128 + WTERMSIG(state) : WEXITSTATUS(state);
    program_ = 0;
  }

  pid_t program_;
  int status_ = 0;
};

int wait_for(family&& all, const sigset_t& taken) {
  while (all.look()) {
    siginfo_t info;
    const int number = ::sigwaitinfo(&taken, &info);
    // It gives the lowest number first: that the program has ended may not have been told yet.
    if (number > 0 && number != SIGCHLD && all.look()) all.pass_on(info);
  }
  return all.status();
}

}  // namespace

int run_and_wait(const std::vector<std::string>& command) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // what the program leaves behind becomes ours, and is waited for
  const signals_held_back held;
  const pid_t self = ::getpid(), started = ::fork();
  if (started == 0) {
    held.undo_in_child();
    take_over_from(self);
    become(command);
  }
  if (started < 0) {
    std::fprintf(stderr, "fastudp: %s can't be started: %s\n", command[0].c_str(), std::strerror(errno));
    return not_started;
  }
  ::signal(SIGPIPE, SIG_IGN);  // whoever reads our words may be gone before the end
  return wait_for(family(started), held.taken);
}

}  // namespace cli

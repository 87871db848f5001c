#include "program.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace cli {
namespace {

constexpr int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGTSTP, SIGWINCH};

volatile sig_atomic_t child = 0;

// The terminal sends its signals to the whole group, and so to the program as well; those must not come twice.
void forward(int number, siginfo_t* info, void*) {
  const bool from_terminal = info->si_code == SI_KERNEL;
  if (child > 0 && !from_terminal) ::kill(static_cast<pid_t>(child), number);
}

void forward_signals() {
  struct sigaction action {};
  action.sa_sigaction = forward;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  for (const int number : forwarded) ::sigaction(number, &action, nullptr);
}

std::string find_on_path(const std::string& program) {
  if (program.find('/') != program.npos) return program;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = folder + "/" + program;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return program;
}

bool has_interpreter(std::ifstream& file, const Elf64_Ehdr& header) {
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof segment));
    if (!file.read(reinterpret_cast<char*>(&segment), sizeof segment)) return true;
    if (segment.p_type == PT_INTERP) return true;
  }
  return false;
}

int status_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

[[noreturn]] void become(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& each : command) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  const int code = errno;
  std::fprintf(stderr, "fastudp: %s: %s\n", arguments[0], std::strerror(code));
  ::_exit(code == ENOENT ? 127 : 126);
}

}  // namespace

std::string why_not_preloadable(const std::string& program) {
  const std::string path = find_on_path(program);
  struct stat facts;
  if (::stat(path.c_str(), &facts) != 0) return "";
  const bool changes_user = (facts.st_mode & S_ISUID) != 0 && facts.st_uid != ::geteuid();
  if (changes_user) return program + " is set-user-ID, and such programs ignore LD_PRELOAD: run it as its user";
  std::ifstream file(path, std::ios::binary);
  Elf64_Ehdr header;
  if (!file.read(reinterpret_cast<char*>(&header), sizeof header)) return "";
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64) return "";
  if (has_interpreter(file, header)) return "";
  return program + " is linked statically, so that nothing can be preloaded into it: it stays with the kernel's sockets";
}

int run_and_wait(const std::vector<std::string>& command) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // what it leaves behind becomes ours, and is waited for
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t started = ::fork();
  if (started == 0) {
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    become(command);
  }
  if (started < 0) {
    std::fprintf(stderr, "fastudp: %s can't be started: %s\n", command[0].c_str(), std::strerror(errno));
    return 1;
  }
  child = started;
  forward_signals();
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  int out = 0;
  for (int status = 0;;) {
    const pid_t ended = ::waitpid(-1, &status, 0);
    if (ended < 0 && errno == EINTR) continue;
    if (ended < 0) return out;
    if (ended == started) out = status_of(status);
    // From now on signals go to the daemon that it may have left.
    if (ended == child) child = 0;
    if (child == 0) {
      std::ifstream children("/proc/self/task/" + std::to_string(::getpid()) + "/children");
      pid_t next = 0;
      if (children >> next) child = next;
    }
  }
}

}  // namespace cli

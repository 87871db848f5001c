#include "preloadable.h"

#include <elf.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace cli {
namespace {

constexpr int most_interpreters = 4;

std::string find_on_path(const std::string& program) {
  if (program.find('/') != program.npos) return program;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/bin:/usr/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + program;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return program;
}

// The loader ignores LD_PRELOAD in a program that gets rights which its caller doesn't have.
bool gains_rights(const std::string& path, const struct stat& facts) {
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) return false;
  if ((facts.st_mode & S_ISUID) != 0 && facts.st_uid != ::geteuid()) return true;
  if ((facts.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && facts.st_gid != ::getegid()) return true;
  return ::geteuid() != 0 && ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

bool names_a_loader(std::ifstream& file, const Elf64_Ehdr& header) {
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    file.seekg(static_cast<std::streamoff>(header.e_phoff) + i * static_cast<std::streamoff>(sizeof segment));
    if (!file.read(reinterpret_cast<char*>(&segment), sizeof segment)) return true;
    if (segment.p_type == PT_INTERP) return true;
  }
  return false;
}

std::string interpreter_of(std::ifstream& file) {
  std::string line, out;
  file.clear();
  file.seekg(2);
  std::getline(file, line);
  std::istringstream(line) >> out;
  return out;
}

std::string examine(const std::string& path, int depth) {
  struct stat facts;
  if (::stat(path.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) return "";
  std::ifstream file(path, std::ios::binary);
  Elf64_Ehdr header{};
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  // A script gets no rights of its own; what counts is what runs it.
  const bool is_script = std::memcmp(&header, "#!", 2) == 0;
  if (is_script) return depth < most_interpreters ? examine(interpreter_of(file), depth + 1) : "";
  if (gains_rights(path, facts))
    return path + " gets rights by itself (set-user-ID or file capabilities), and ignores LD_PRELOAD";
  if (!file || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return "";
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return path + " is a 32-bit program, and the interposer isn't";
  return names_a_loader(file, header) ? "" : path + " is linked statically, so that nothing can be preloaded into it";
}

}  // namespace

std::string why_not_preloadable(const std::string& program) { return examine(find_on_path(program), 0); }

}  // namespace cli

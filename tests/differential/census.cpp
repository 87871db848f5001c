#include "census.h"

#include "options.h"

namespace differential {
namespace {

const char* flag_name(unsigned bit) {
  switch (1u << bit) {
    case MSG_OOB:
      return "MSG_OOB";
    case MSG_PEEK:
      return "MSG_PEEK";
    case MSG_DONTROUTE:
      return "MSG_DONTROUTE";
    case MSG_CTRUNC:
      return "MSG_CTRUNC";
    case MSG_PROXY:
      return "MSG_PROBE";
    case MSG_TRUNC:
      return "MSG_TRUNC";
    case MSG_DONTWAIT:
      return "MSG_DONTWAIT";
    case MSG_EOR:
      return "MSG_EOR";
    case MSG_WAITALL:
      return "MSG_WAITALL";
    case MSG_CONFIRM:
      return "MSG_CONFIRM";
    case MSG_ERRQUEUE:
      return "MSG_ERRQUEUE";
    case MSG_NOSIGNAL:
      return "MSG_NOSIGNAL";
    case MSG_MORE:
      return "MSG_MORE";
    case MSG_WAITFORONE:
      return "MSG_WAITFORONE";
    case MSG_ZEROCOPY:
      return "MSG_ZEROCOPY";
    case MSG_FASTOPEN:
      return "MSG_FASTOPEN";
    case MSG_CMSG_CLOEXEC:
      return "MSG_CMSG_CLOEXEC";
    default:
      return nullptr;
  }
}

// Opens and closes an object, and puts commas.
class object {
 public:
  object(std::FILE* to, const char* name) : to_(to) { std::fprintf(to, ",\n\"%s\": {", name); }
  ~object() { std::fprintf(to_, "\n}"); }
  void put(const std::string& name, std::uint64_t count) {
    std::fprintf(to_, "%s\n \"%s\": %llu", comma_, name.c_str(), static_cast<unsigned long long>(count));
    comma_ = ",";
  }
  void put(const std::string& name, const std::uint64_t (&counts)[2]) {
    std::fprintf(to_, "%s\n \"%s\": {\"succeeded\": %llu, \"failed\": %llu}", comma_, name.c_str(),
                 static_cast<unsigned long long>(counts[1]), static_cast<unsigned long long>(counts[0]));
    comma_ = ",";
  }

 private:
  std::FILE* to_;
  const char* comma_ = "";
};

std::string numbers(const std::pair<int, int>& both) {
  return std::to_string(both.first) + "," + std::to_string(both.second);
}

}  // namespace

void census::option(bool setting, int level, int name, bool succeeded) {
  ++options_[setting][{level, name}][succeeded];
}

void census::write(std::FILE* to) const {
  std::fprintf(to, "{\n\"sequences\": %llu", static_cast<unsigned long long>(sequences_));
  {
    object out(to, "calls");
    for (std::size_t i = 0; i < call_count; ++i) out.put(name_of(static_cast<call>(i)), calls_[i]);
  }
  for (const bool sending : {false, true}) {
    object out(to, sending ? "flags sent" : "flags received");
    for (unsigned bit = 0; bit < 32; ++bit) {
      const char* name = flag_name(bit);
      out.put(name == nullptr ? "bit " + std::to_string(bit) : name, flags_[sending][bit]);
    }
  }
  for (const bool setting : {false, true}) {
    object out(to, setting ? "setsockopt" : "getsockopt");
    for (const auto& each : options) {
      const auto found = options_[setting].find({each.level, each.name});
      static constexpr std::uint64_t never[2]{};
      out.put(std::string(each.level_text) + " " + each.text, found == options_[setting].end() ? never : found->second);
    }
  }
  for (const bool sending : {false, true}) {
    object out(to, sending ? "control sent" : "control received");
    for (const auto& [which, count] : sending ? sent_ : received_) out.put(numbers(which), count);
  }
  std::fprintf(to, "\n}\n");
}

}  // namespace differential

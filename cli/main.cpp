// fastudp: runs unmodified programs on the fast path, and says what a machine offers.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fastudp.h>

#include "doctor.h"
#include "run.h"

namespace {

constexpr int usage_error = 2;

constexpr char examples[] =
    "Examples:\n"
    "  fastudp doctor                                            what this machine offers\n"
    "  fastudp run -- dnsmasq -d                                 the fastest link that works here\n"
    "  fastudp run --link packet:eth0 --stats s.json -- PROGRAM  this interface, and count\n"
    "  fastudp doctor --stats s.json                             explain what was counted";

class with_usage final : public CLI::Formatter {
 public:
  explicit with_usage(std::string text) : text_(std::move(text)) {}
  std::string make_usage(const CLI::App*, std::string) const override { return "Usage: " + text_ + "\n"; }

 private:
  std::string text_;
};

void set_usage(CLI::App& app, const char* text) { app.formatter(std::make_shared<with_usage>(text)); }

// What stands behind -- is cut off before the options are parsed: its words are not ours to interpret.
std::vector<std::string> take_command(std::vector<std::string>& words) {
  const auto mark = std::find(words.begin(), words.end(), "--");
  if (mark == words.end()) return {};
  std::vector<std::string> command(mark + 1, words.end());
  words.erase(mark, words.end());
  return command;
}

CLI::App* add_run(CLI::App& app, cli::run_request& run) {
  CLI::App* command = app.add_subcommand("run", "Run a program with its UDP sockets on fastudp");
  set_usage(*command, "fastudp run [OPTIONS] -- PROGRAM [ARGUMENT]...");
  command->add_option("--link", run.link, "packet:IF, xdp:IF, tap:IF, dpdk:PORT, loop:, host: or the best, auto:")
      ->type_name("URI")
      ->capture_default_str();
  command->add_option("--address", run.address, "An address of its own, such as 10.0.0.2/24")->type_name("A/LEN");
  command->add_option("--gateway", run.gateway, "The default route of that address")->type_name("A");
  command->add_option("--rules", run.rules, "What goes by the kernel all the same: see fastudp(1)")->type_name("FILE");
  command->add_flag("--strict", run.strict, "Fail where a socket would be left to the kernel");
  command->add_flag("--bypass-firewall", run.bypass_firewall, "Let auto: choose a link that the firewall doesn't see");
  command->add_flag("--extend-sandbox", run.extend_sandbox,
                    "Let fastudp's system calls pass a filter of the program's own");
  command->add_option("--stats", run.stats, "At the end, write what went which way, as JSON")->type_name("FILE");
  command->footer("");
  command->prefix_command();
  return command;
}

CLI::App* add_doctor(CLI::App& app, cli::doctor_request& doctor) {
  CLI::App* command = app.add_subcommand("doctor", "Say what this machine offers, and what would make it faster");
  set_usage(*command, "fastudp doctor [INTERFACE] | fastudp doctor --stats FILE");
  auto* interface = command->add_option("interface", doctor.interface, "One interface; by default all");
  command->add_option("--stats", doctor.stats, "Explain a file that 'fastudp run --stats' has written")
      ->type_name("FILE")
      ->excludes(interface);
  command->footer("");
  return command;
}

int mistaken(const std::string& text) {
  std::fprintf(stderr, "fastudp: %s\n", text.c_str());
  return usage_error;
}

// Without -- the command begins with the first word that is no option, and a later -- is the program's.
std::vector<std::string> join(std::vector<std::string> first, const std::vector<std::string>& behind_mark) {
  if (first.empty()) return behind_mark;
  if (!behind_mark.empty()) first.push_back("--");
  first.insert(first.end(), behind_mark.begin(), behind_mark.end());
  return first;
}

int start_run(cli::run_request& request) {
  if (request.command.empty()) {
    return mistaken("run needs a program: fastudp run [OPTIONS] -- PROGRAM [ARGUMENT]...");
  }
  return cli::run(request);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"UDP in user space, with the behaviour of Linux's sockets"};
  set_usage(app, "fastudp run [OPTIONS] -- PROGRAM [ARGUMENT]...\n       fastudp doctor [INTERFACE] | --stats FILE");
  app.footer(examples);
  app.set_version_flag("--version", std::string("fastudp ") + fastudp_version());
  app.require_subcommand(1);
  cli::run_request run;
  cli::doctor_request doctor;
  const CLI::App* run_command = add_run(app, run);
  add_doctor(app, doctor);

  std::vector<std::string> words(argv + 1, argv + argc);
  const std::vector<std::string> behind_mark = take_command(words);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& wrong) {
    return mistaken(std::string(wrong.what()) + ": see 'fastudp --help'");
  }
  if (!run_command->parsed()) return cli::doctor(doctor);
  const std::vector<std::string> rest = run_command->remaining();
  if (!rest.empty() && rest[0].starts_with("-"))
    return mistaken("run has no option " + rest[0] + ": see 'fastudp run --help'");
  run.command = join(rest, behind_mark);
  return start_run(run);
}

// fastudp: runs unmodified programs on the fast path, and says what a machine offers.

#include <CLI/CLI.hpp>

#include <fastudp.h>

#include "doctor.h"
#include "run.h"

int main(int argc, char** argv) {
  CLI::App app{"UDP in user space, with the behaviour of Linux's sockets"};
  app.set_version_flag("--version", fastudp_version());
  app.require_subcommand(1);

  cli::run_request run;
  CLI::App* run_command = app.add_subcommand("run", "Run a program with its UDP sockets on fastudp");
  run_command->add_option("--link", run.link, "Link URI, such as packet:eth0, tap:fast0, loop:, host:")->capture_default_str();
  run_command->add_option("--address", run.address, "An address of its own and its prefix, such as 10.0.0.2/24");
  run_command->add_option("--gateway", run.gateway, "The default route of that address");
  run_command->add_flag("--strict", run.strict, "Fail where a socket would be handed over to the kernel");
  run_command->add_flag("--bypass-firewall", run.bypass_firewall, "Let auto: pass the host's firewall rules by");
  run_command->add_option("--stats", run.stats, "Write what went which way to this file, as JSON, at the end");
  run_command->add_option("program", run.command, "The program and its arguments, after --")->required();
  run_command->positionals_at_end();

  cli::doctor_request doctor;
  CLI::App* doctor_command = app.add_subcommand("doctor", "Say what this machine offers, and what would make it faster");
  doctor_command->add_option("interface", doctor.interface, "One interface; by default all");
  doctor_command->add_option("--stats", doctor.stats, "Explain a file that run --stats has written");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? 0 : 2;
  }
  return run_command->parsed() ? cli::run(run) : cli::doctor(doctor);
}

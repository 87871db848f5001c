#include "link/steering.h"

#include <dlfcn.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "link/open_plugin.h"
#include "link/plugin.h"

namespace fastudp {
namespace {

fastudp_bpf_claim to_plugin(const claim& in) {
  fastudp_bpf_claim out{};
  std::memcpy(out.local, in.local.bytes.data(), sizeof out.local);
  std::memcpy(out.remote, in.remote.bytes.data(), sizeof out.remote);
  out.local_port = in.local_port;
  out.remote_port = in.remote_port;
  return out;
}

status outcome(int returned) { return returned < 0 ? status(error{-returned}) : status{}; }

class plugin_steering final : public steering {
 public:
  plugin_steering(void* library, const fastudp_bpf_table& table, void* state)
      : library_(library), table_(table), state_(state) {}
  ~plugin_steering() override {
    table_.close(state_);
    ::dlclose(library_);
  }

  status attach(int interface, reason& why) override {
    char text[200] = {};
    const int done = table_.attach(state_, interface, text, sizeof text);
    return done == 0 ? status{} : why.fail(-done, "%s", text);
  }
  bool is_attached() const override { return table_.is_attached(state_) != 0; }
  status attach_again() override { return outcome(table_.attach_again(state_)); }
  status open_redirect(const redirection& how, reason& why) override {
    char text[200] = {};
    fastudp_bpf_redirect wanted{.interface = how.interface,
                                .longest = how.longest,
                                .mac = {},
                                .takes_all = how.takes_all ? std::uint8_t{1} : std::uint8_t{0}};
    std::memcpy(wanted.mac, how.mac.bytes.data(), sizeof wanted.mac);
    const int done = table_.open_redirect(state_, &wanted, text, sizeof text);
    return done == 0 ? status{} : why.fail(-done, "%s", text);
  }
  status redirect_to(unsigned queue, int socket) override { return outcome(table_.redirect_to(state_, queue, socket)); }
  status attach_redirect(int interface, bool native, reason& why) override {
    char text[200] = {};
    const int done = table_.attach_redirect(state_, interface, native, text, sizeof text);
    return done == 0 ? status{} : why.fail(-done, "%s", text);
  }
  result<descriptor> tap_filter(unsigned member) const override {
    const int made = table_.tap_filter(state_, member);
    return made >= 0 ? result<descriptor>(descriptor(made)) : error{-made};
  }
  status add(const claim& flow, unsigned member) override {
    const auto wanted = to_plugin(flow);
    return outcome(table_.add(state_, &wanted, member));
  }
  void remove(const claim& flow, unsigned member) override {
    const auto wanted = to_plugin(flow);
    table_.remove(state_, &wanted, member);
  }
  void remove_member(unsigned member) override { table_.remove_member(state_, member); }
  result<const std::atomic<std::uint64_t>*> watch(int socket) override {
    static_assert(sizeof(std::atomic<std::uint64_t>) == sizeof(std::uint64_t));
    std::uint64_t* count = nullptr;
    if (const int done = table_.watch(state_, socket, &count); done != 0) return error{-done};
    return reinterpret_cast<const std::atomic<std::uint64_t>*>(count);
  }
  void unwatch(const std::atomic<std::uint64_t>* count) override {
    table_.unwatch(state_, reinterpret_cast<std::uint64_t*>(const_cast<std::atomic<std::uint64_t>*>(count)));
  }

 private:
  void* library_;
  const fastudp_bpf_table& table_;
  void* state_;
};

constexpr const char* file = "fastudp-bpf.so";

result<std::unique_ptr<steering>> start(void* library, reason& why) {
  const auto found = plugin_table<fastudp_bpf_table>(library, file, FASTUDP_BPF_TABLE, why);
  if (!found) return found.failure();
  const fastudp_bpf_table* table = *found;
  char text[200] = {};
  void* state = nullptr;
  if (const int opened = table->open(&state, text, sizeof text); opened != 0) return why.fail(-opened, "%s", text);
  std::unique_ptr<steering> out(new (std::nothrow) plugin_steering(library, *table, state));
  if (out) return out;
  table->close(state);
  return why.fail(ENOMEM, "no memory for the BPF programs");
}

}  // namespace

result<std::unique_ptr<steering>> steering::load(reason& why, const char* path) {
  void* library = path != nullptr ? ::dlopen(path, RTLD_NOW | RTLD_LOCAL) : open_plugin(file);
  if (library == nullptr) return why.fail(ENOENT, "fastudp-bpf.so isn't there or misses libbpf: install both");
  auto out = start(library, why);
  if (!out) ::dlclose(library);
  return out;
}

}  // namespace fastudp

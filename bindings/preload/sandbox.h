#pragma once
// seccomp: a filter that the program confines itself with knows nothing of the calls that fastudp needs, and kills for
// the first one. It is installed with these allowed, by argument where they could do more than use what is open
// already.

struct sock_fprog;

namespace preload {

class widened_filter {
 public:
  explicit widened_filter(const sock_fprog* given);
  ~widened_filter();
  widened_filter(const widened_filter&) = delete;
  widened_filter& operator=(const widened_filter&) = delete;

  // The one that was given, where ours doesn't fit in front of it.
  const sock_fprog* program() const;

 private:
  const sock_fprog* given_;
  sock_fprog* ours_ = nullptr;
};

}  // namespace preload

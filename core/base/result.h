#pragma once
// A value or the reason why there is none. Errors are errno values, since Linux's errno is our contract.

#include <cassert>
#include <utility>

namespace fastudp {

struct [[nodiscard]] error {
  int code;  // a positive errno value
};

template <typename T>
class [[nodiscard]] result {
 public:
  result(T value) : value_(std::move(value)), code_(0) {}
  result(error e) : value_{}, code_(e.code) {}

  explicit operator bool() const { return code_ == 0; }
  int code() const { return code_; }
  fastudp::error failure() const { return {code_}; }

  T& operator*() {
    assert(code_ == 0);
    return value_;
  }
  const T& operator*() const {
    assert(code_ == 0);
    return value_;
  }
  T* operator->() { return &**this; }
  const T* operator->() const { return &**this; }

 private:
  T value_;
  int code_;
};

// For calls that succeed without a value.
template <>
class [[nodiscard]] result<void> {
 public:
  result() = default;
  result(error e) : code_(e.code) {}

  explicit operator bool() const { return code_ == 0; }
  int code() const { return code_; }
  fastudp::error failure() const { return {code_}; }

 private:
  int code_ = 0;
};

using status = result<void>;

}  // namespace fastudp

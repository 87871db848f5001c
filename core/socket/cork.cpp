#include "socket/cork.h"

#include <cerrno>
#include <cstring>

#include "packet/pool.h"
#include "stack/path.h"

namespace fastudp {
namespace {

constexpr std::uint32_t longest_v4 = 65'535 - ipv4_size - udp_size, longest_v6 = 65'535 - udp_size;

}  // namespace

status cork::begin(const endpoint_address& to, const send_choices& choices, frame_store& store) {
  held_ = store.take(longest_v6);
  if (held_ == nullptr) return error{ENOBUFS};
  to_ = to;
  choices_ = choices;
  completes_ = 0;
  is_redirected_ = false;
  return {};
}

void cork::redirect(const endpoint_address& to) {
  if (!is_holding() || !to_.address.is_v4() || !to.address.is_v4()) return;
  to_ = to;
  choices_.leave_from(ip_address::any(ip_family::v4));
  choices_.has_v4_source = false;
  is_redirected_ = true;
}

status cork::excuse(status sent) const {
  const int code = sent.code();
  const bool is_about_way = code == ENETUNREACH || code == EINVAL || code == EACCES;
  return is_redirected_ && is_about_way ? status{} : sent;
}

status cork::add(std::span<const std::byte> piece, bool completes) {
  const std::uint32_t longest = to_.address.is_v4() ? longest_v4 : longest_v6;
  if (piece.size() > longest - held_->length) return error{EMSGSIZE};
  completes_ += completes ? 1 : 0;
  if (!piece.empty()) std::memcpy(held_->data() + held_->length, piece.data(), piece.size());
  held_->length += static_cast<std::uint32_t>(piece.size());
  return {};
}

void cork::discard() {
  if (packet* p = take()) release(p);
}

}  // namespace fastudp

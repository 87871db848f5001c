#pragma once
// Lists of table entries that are linked through the entries themselves, so that moving one costs the same however many
// there are.

namespace fastudp {

template <typename T>
struct list_links {
  T* previous;
  T* next;
};

// An entry is in at most one list for each of its link members.
template <typename T, list_links<T> T::*Links>
class entry_list {
 public:
  bool empty() const { return first_ == nullptr; }
  T* front() const { return first_; }

  void push_back(T& entry) {
    entry.*Links = {last_, nullptr};
    (last_ == nullptr ? first_ : (last_->*Links).next) = &entry;
    last_ = &entry;
  }
  void remove(T& entry) {
    const list_links<T> around = entry.*Links;
    (around.previous == nullptr ? first_ : (around.previous->*Links).next) = around.next;
    (around.next == nullptr ? last_ : (around.next->*Links).previous) = around.previous;
    entry.*Links = {};
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
};

}  // namespace fastudp

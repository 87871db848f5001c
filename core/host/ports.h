#pragma once
// Who else has a port.

namespace fastudp {

bool shared_with_another_process(int socket);

}  // namespace fastudp

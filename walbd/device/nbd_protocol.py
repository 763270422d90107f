"""Numbers and layouts of the NBD protocol, fixed newstyle (https://github.com/NetworkBlockDevice/nbd, doc/proto.md).

All integers are big-endian. Shared by the server and the client.
"""

from __future__ import annotations

import struct

INIT_MAGIC = b"NBDMAGIC"
OPTION_MAGIC = b"IHAVEOPT"
OPTION_REPLY_MAGIC = 0x0003E889045565A9
REQUEST_MAGIC = 0x25609513
REPLY_MAGIC = 0x67446698
CHUNK_MAGIC = 0x668E33EF

FLAG_FIXED_NEWSTYLE = 1
FLAG_NO_ZEROES = 2

GREETING = struct.Struct(">8s8sH")
OPTION = struct.Struct(">8sII")
OPTION_REPLY = struct.Struct(">QIII")
EXPORT_INFO = struct.Struct(">HQH")
BLOCK_SIZE_INFO = struct.Struct(">HIII")
EXPORT_NAME_REPLY = struct.Struct(">QH")
REQUEST = struct.Struct(">IHHQQI")
COMMAND_BYTE = 7  # where the low byte of a request's command lies
REPLY = struct.Struct(">IIQ")
CHUNK = struct.Struct(">IHHQI")
CHUNK_OFFSET = struct.Struct(">Q")
CHUNK_ERROR = struct.Struct(">IH")
CONTEXT_ID = struct.Struct(">I")
EXTENT = struct.Struct(">II")

OPT_EXPORT_NAME = 1
OPT_ABORT = 2
OPT_LIST = 3
OPT_INFO = 6
OPT_GO = 7
OPT_STRUCTURED_REPLY = 8
OPT_LIST_META_CONTEXT = 9
OPT_SET_META_CONTEXT = 10

REP_ACK = 1
REP_SERVER = 2
REP_INFO = 3
REP_META_CONTEXT = 4
REP_ERR_UNSUP = 2**31 + 1
REP_ERR_INVALID = 2**31 + 3
REP_ERR_UNKNOWN = 2**31 + 6

INFO_EXPORT = 0
INFO_BLOCK_SIZE = 3

HAS_FLAGS = 1 << 0
SEND_FLUSH = 1 << 2
SEND_FUA = 1 << 3
SEND_TRIM = 1 << 5
SEND_WRITE_ZEROES = 1 << 6
SEND_DF = 1 << 7
CAN_MULTI_CONN = 1 << 8
SEND_FAST_ZERO = 1 << 11

CMD_READ = 0
CMD_WRITE = 1
CMD_DISC = 2
CMD_FLUSH = 3
CMD_TRIM = 4
CMD_WRITE_ZEROES = 6
CMD_BLOCK_STATUS = 7

CMD_FLAG_FUA = 1 << 0
CMD_FLAG_NO_HOLE = 1 << 1
CMD_FLAG_DF = 1 << 2
CMD_FLAG_REQ_ONE = 1 << 3
CMD_FLAG_FAST_ZERO = 1 << 4

CHUNK_FLAG_DONE = 1
CHUNK_OFFSET_DATA = 1
CHUNK_BLOCK_STATUS = 5
CHUNK_KIND_ERROR = (1 << 15) + 1

ALLOCATION_CONTEXT = b"base:allocation"
ALLOCATION_CONTEXT_ID = 1
STATE_HOLE = 1
STATE_ZERO = 2

EIO = 5
EINVAL = 22
ENOSPC = 28
ENOTSUP = 95
ESHUTDOWN = 108

# What a client that negotiates nothing may send (protocol, "block size constraints").
MAX_PAYLOAD_BYTES = 32 << 20
MAX_OPTION_BYTES = 8 << 10
MAX_EXPORT_NAME_BYTES = 4096

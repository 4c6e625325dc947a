// Walks the descriptors of an image, phase by phase, and says each cycle which words the array reads.
//
// A pass is one tile of rows by one tile of tokens over the whole depth. It begins when the sums of the
// pass before will have been drained by its end, and what it reads is there: its weights (linear), room
// for its scores (scores), the softmax of its tokens (context); the first pass of a phase when all that the
// phase before it wrote has been written. What the epilogue must know of a pass leaves with its last word.
// A phase of norms has no passes: it is the norms' unit from m_norm to s_norm_done.

`default_nettype none

module engine_sequencer #(
    parameter TOKENS     = 7,
    parameter DEPTH      = 8,
    parameter ROWS8      = 8,
    parameter ROWS4      = 12,
    parameter SETTLE     = 16,
    parameter PHASES     = 64,
    parameter DESCRIPTOR = 512,
    parameter INIT       = ""
) (
    input  wire                  aclk,
    input  wire                  aresetn,
    // An image begins with s_start while m_idle is high; m_done is high for a cycle at its end.
    input  wire                  s_start,
    output wire                  m_idle,
    output reg                   m_done,
    output wire                  m_busy,
    output wire                  m_stall,
    // What passes wait for.
    input  wire [           7:0] s_weights_loaded,
    input  wire [          15:0] s_softmax_done,
    input  wire [          15:0] s_softmax_read,
    input  wire                  s_norm_done,
    output reg                   m_norm,
    // The words that are read.
    output reg                   m_valid,
    output reg                   m_first,
    output reg                   m_last,
    output reg                   m_mode8,
    output reg  [           2:0] m_op,
    output reg                   m_image,
    output reg                   m_second,
    output reg                   m_lift,
    output reg  [          15:0] m_a_address,
    output reg  [          15:0] m_b_address,
    output reg  [           7:0] m_b_part,
    output reg  [           7:0] m_b_lanes,
    output reg  [          15:0] m_b_token,
    output reg  [          15:0] m_b_from,
    output reg  [          15:0] m_b_to,
    output reg                   m_buffer,
    output reg  [          11:0] m_word,
    // What the epilogue must know of the pass, with m_last; and of the phase, from its first pass on.
    output reg  [           7:0] m_rows,
    output reg                   m_release,
    output reg                   m_first_rows,
    output reg  [           7:0] m_tile,
    output reg  [          15:0] m_offset,
    output reg  [          15:0] m_v_offset,
    output reg  [          15:0] m_stream_offset,
    output reg  [          11:0] m_high,
    output reg  [           4:0] m_low,
    output reg                   m_keys_end,
    output reg                   m_parity,
    output reg  [DESCRIPTOR-1:0] m_phase
);

  localparam END = 3'd0, LINEAR = 3'd1, SCORES = 3'd2, CONTEXT = 3'd3, POOL = 3'd4, NORM = 3'd5;
  localparam PC = PHASES > 1 ? $clog2(PHASES) : 1;
  // A tile of tokens takes so many words of keys' depth, and so many tiles of keys' rows.
  localparam PARTS_V = (TOKENS + DEPTH - 1) / DEPTH;
  localparam LAST_PART = PARTS_V - 1, LAST_STEP = TOKENS - LAST_PART * DEPTH;
  // From a tile of rows to the next: words and lanes.
  localparam STEP_HIGH = ROWS8 / DEPTH, STEP_LOW = ROWS8 % DEPTH;
  localparam [7:0] WHOLE8 = ROWS8[7:0], WHOLE4 = ROWS4[7:0];
  localparam [4:0] LANES = DEPTH[4:0];
  localparam [15:0] AFTER = SETTLE[15:0] - 16'd1;

  generate
    if (DEPTH > 16) begin : g_illegal_depth
      DEPTH_must_be_at_most_16 stop ();
    end
    if (TOKENS > 255 || ROWS4 > 255 || ROWS8 > 32) begin : g_illegal_tile
      TOKENS_and_ROWS4_must_be_at_most_255_and_ROWS8_32 stop ();
    end
  endgenerate

  // ---- descriptors ----
  // A descriptor is read a cycle after pc, and the loops begin from it in the cycle after.
  reg [PC-1:0] pc;
  reg reading, fetched, running;
  wire [DESCRIPTOR-1:0] phase;
  engine_memory #(
      .WORDS(PHASES), .BITS(DESCRIPTOR), .ADDRESS(PC), .INIT(INIT), .ROM(1)
  ) descriptors (
      .aclk(aclk), .s_write(1'b0), .s_address({PC{1'b0}}), .s_data({DESCRIPTOR{1'b0}}),
      .s_read(pc), .m_data(phase)
  );

  wire [2:0] op;
  wire image, halves;
  wire [15:0] a_base, b_base, from, to, need;
  wire [11:0] a_stride, b_stride, words, offset_stride, v_stride, stream_stride, start_high;
  wire [9:0] tiles8, tiles4;
  wire [7:0] tiles, rows8, rows4, keys, keys_last, lanes;
  wire [4:0] start_low;
  engine_phase_sequencer fields (
      .s_phase(phase), .m_op(op), .m_image(image), .m_halves(halves), .m_a_base(a_base),
      .m_a_stride(a_stride), .m_words(words), .m_tiles(tiles), .m_tiles8(tiles8), .m_tiles4(tiles4),
      .m_rows8(rows8), .m_rows4(rows4), .m_keys(keys), .m_keys_last(keys_last), .m_b_base(b_base),
      .m_b_stride(b_stride), .m_lanes(lanes), .m_token_from(from), .m_token_to(to), .m_need(need),
      .m_offset_stride(offset_stride), .m_v_stride(v_stride), .m_stream_stride(stream_stride),
      .m_high(start_high), .m_low(start_low)
  );

  // ---- where in the phase ----
  reg first_pass, in8, parity, norming;
  // Tiles of weights that have been used up; they lie in two buffers in turn.
  reg [7:0] used;
  wire buffer = used[0];
  reg [11:0] word;
  reg [9:0] row_tile;
  reg [7:0] tile, key_tile, key_part, keys_left, part;
  reg [15:0] a_offset, b_offset, row_offset, offset, v_offset, stream_offset, token;
  reg [11:0] high;
  reg [4:0] low;

  wire streams = op == LINEAR;
  wire scores = op == SCORES;
  wire contexts = op == CONTEXT || op == POOL;
  wire [9:0] tiles_now = in8 ? tiles8 : tiles4;
  wire last_row_tile = row_tile + 10'd1 == tiles_now && (!in8 || tiles4 == 10'd0 || !streams);
  wire kind_ends = row_tile + 10'd1 == tiles_now;
  wire last_tile = tile + 8'd1 == tiles;
  wire last_key_tile = key_tile + 8'd1 == keys;
  wire last_key_part = keys_left <= WHOLE8;
  wire last_keys = last_key_tile && last_key_part;
  wire [7:0] keys_first = keys == 8'd1 ? keys_last : TOKENS[7:0];
  wire [7:0] keys_next = key_tile + 8'd2 == keys ? keys_last : TOKENS[7:0];
  wire [7:0] rows = scores ? (last_key_part ? keys_left : WHOLE8)
      : in8 ? (kind_ends ? rows8 : WHOLE8) : (kind_ends ? rows4 : WHOLE4);
  wire last_pass = scores ? last_tile && last_keys : last_tile && last_row_tile;

  // Pixels of more bits than activations have: all words of their high halves come, then those of their low
  // halves.
  wire [11:0] half = {1'b0, words[11:1]};
  wire second = halves && word >= half;
  wire [11:0] place = second ? word - half : word;

  // ---- when a pass may begin ----
  reg [15:0] owed, unsettled, scored;
  wire [15:0] held = scored - s_softmax_read;
  wire [15:0] ahead = s_softmax_done - need;
  wire unused = &{1'b0, ahead[14:0]};  // the sign is all that counts
  wire settled = !first_pass || unsettled == 16'd0;
  wire drained = owed <= {4'd0, words};
  wire here = !streams || s_weights_loaded != used;
  wire room = !scores || key_tile != 8'd0 || key_part != 8'd0 || held < 16'd2;
  wire softmax = op != CONTEXT || !ahead[15];
  wire fetches = running && fetched && settled;
  wire ready = fetches && op != END && op != NORM && drained && room && softmax;
  wire begins = word == 12'd0 && ready && here;
  wire norms = fetches && op == NORM && !norming;
  wire issues = begins || word != 12'd0;
  wire ends = issues && word + 12'd1 == words;

  assign m_idle = !running && !m_done;
  assign m_busy = issues;
  assign m_stall = word == 12'd0 && ready && !here;

  wire [5:0] low_next = {1'b0, low} + STEP_LOW[5:0];
  wire low_wraps = low_next >= DEPTH[5:0];

  always @(posedge aclk) begin
    m_done <= 1'b0;
    m_norm <= aresetn && norms;
    if (!aresetn) begin
      running <= 1'b0;
      norming <= 1'b0;
      reading <= 1'b0;
      fetched <= 1'b0;
      pc <= {PC{1'b0}};
      owed <= 16'd0;
      unsettled <= 16'd0;
      used <= 8'd0;
      parity <= 1'b0;
      scored <= 16'd0;
      word <= 12'd0;
      first_pass <= 1'b1;
    end else begin
      reading <= 1'b1;
      fetched <= reading;
      if (owed != 16'd0) owed <= owed - 16'd1;
      if (unsettled != 16'd0) unsettled <= unsettled - 16'd1;
      if (m_idle && s_start) begin
        // The softmax begins anew too: the first scores of an image go to its first buffer.
        running <= 1'b1;
        scored <= 16'd0;
        parity <= 1'b0;
      end
      if (running && fetched && op == END && unsettled == 16'd0) begin
        running <= 1'b0;
        m_done <= 1'b1;
        pc <= {PC{1'b0}};
        reading <= 1'b0;
        fetched <= 1'b0;
      end
      if (begins) begin
        owed <= {4'd0, words} + {8'd0, rows} - 16'd1;
        unsettled <= {4'd0, words} + {8'd0, rows} + AFTER;
        first_pass <= 1'b0;
        if (scores && key_tile == 8'd0 && key_part == 8'd0) scored <= scored + 16'd1;
      end
      if (norms) norming <= 1'b1;
      if (s_norm_done) norming <= 1'b0;
      if (issues) word <= ends ? 12'd0 : word + 12'd1;
      if ((ends && last_pass) || s_norm_done) begin
        pc <= pc + 1'b1;
        reading <= 1'b0;
        fetched <= 1'b0;
        first_pass <= 1'b1;
      end
      if (ends && streams && last_tile) used <= used + 8'd1;
      if (ends && scores && last_keys) parity <= ~parity;
    end
  end

  // ---- the loops: tiles of tokens within tiles of rows; for scores, keys within tiles of tokens ----
  always @(posedge aclk) begin
    if (issues && contexts) begin
      part <= part + 8'd1;
      token <= token + DEPTH[15:0];
      if (part == LAST_PART[7:0]) begin
        part <= 8'd0;
        token <= token + LAST_STEP[15:0];
        b_offset <= b_offset + {4'd0, b_stride};
      end
    end
    if (ends) begin
      part <= 8'd0;
      token <= 16'd0;
      if (contexts) b_offset <= 16'd0;
      if (scores) begin
        key_part  <= last_key_part ? 8'd0 : key_part + 8'd1;
        keys_left <= last_key_part ? keys_next : keys_left - WHOLE8;
        high <= high + {4'd0, rows};
        if (last_key_part) begin
          key_tile <= key_tile + 8'd1;
          b_offset <= b_offset + {4'd0, b_stride};
        end
        if (last_keys) begin
          key_tile <= 8'd0;
          keys_left <= keys_first;
          b_offset <= 16'd0;
          high <= 12'd0;
        end
      end
      if (!scores || last_keys) begin
        tile <= tile + 8'd1;
        a_offset <= a_offset + {4'd0, a_stride};
        offset <= offset + {4'd0, offset_stride};
        v_offset <= v_offset + {4'd0, v_stride};
        stream_offset <= stream_offset + {4'd0, stream_stride};
      end
      if (!scores && last_tile) begin
        tile <= 8'd0;
        a_offset <= 16'd0;
        offset <= 16'd0;
        v_offset <= 16'd0;
        stream_offset <= 16'd0;
        row_tile <= kind_ends ? 10'd0 : row_tile + 10'd1;
        if (kind_ends) in8 <= 1'b0;
        row_offset <= row_offset + 16'd1;
        high <= high + STEP_HIGH[11:0] + {11'd0, low_wraps};
        low <= low_next[4:0] - (low_wraps ? LANES : 5'd0);
      end
    end
    // A phase begins: all of it anew, from what its descriptor says.
    if (first_pass && word == 12'd0 && !begins) begin
      in8 <= tiles8 != 10'd0;
      row_tile <= 10'd0;
      row_offset <= 16'd0;
      tile <= 8'd0;
      key_tile <= 8'd0;
      key_part <= 8'd0;
      keys_left <= keys_first;
      part <= 8'd0;
      token <= 16'd0;
      a_offset <= 16'd0;
      b_offset <= 16'd0;
      offset <= 16'd0;
      v_offset <= 16'd0;
      stream_offset <= 16'd0;
      high <= scores ? 12'd0 : start_high;
      low <= scores ? 5'd0 : start_low;
    end
  end

  // ---- what leaves ----
  always @(posedge aclk) begin
    m_valid <= aresetn && issues;
    m_first <= word == 12'd0;
    m_last <= ends;
    m_mode8 <= !streams || in8;
    m_op <= op;
    m_image <= image;
    m_second <= second;
    m_lift <= halves && word == half;
    m_a_address <= a_base + a_offset + {4'd0, place};
    m_b_address <= b_base + b_offset + (scores ? {4'd0, word} : row_offset);
    m_b_part <= scores ? key_part : part;
    m_b_lanes <= scores && word + 12'd1 == words ? lanes : DEPTH[7:0];
    m_b_token <= token;
    m_b_from <= from;
    m_b_to <= to;
    m_buffer <= buffer;
    m_word <= place;
    m_rows <= rows;
    m_release <= streams && last_tile;
    m_first_rows <= row_offset == 16'd0;
    m_tile <= tile;
    m_offset <= offset;
    m_v_offset <= v_offset;
    m_stream_offset <= stream_offset;
    m_high <= high;
    m_low <= low;
    m_keys_end <= scores && last_keys;
    m_parity <= parity;
    if ((begins && first_pass) || norms) m_phase <= phase;
  end

endmodule

`default_nettype wire

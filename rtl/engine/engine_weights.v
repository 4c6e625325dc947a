// Weights as they are streamed: tiles of rows in the order of their use, held in two buffers in turn.
//
// A tile begins with a beat that says what it is: bits 31..0 its number in the image, 43..32 its words,
// 44 whether its rows have 8 bits, 45 whether it is the image's last, 55..48 its rows. Its words follow,
// in as many beats as their bits need, and then its rows: 64 bits each, as many as fit a beat. TLAST
// stands at the last beat of the image. A number, or a TLAST, that is not as it should be stops the stream
// until aresetn or s_clear. It is not ready in reset.

`default_nettype none

module engine_weights #(
    parameter WORD   = 512,
    parameter WORD4  = 384,
    parameter WORD8  = 512,
    parameter WORDS  = 64,
    parameter ROWS   = 12,
    parameter BEAT   = 128
) (
    input  wire             aclk,
    input  wire             aresetn,
    input  wire             s_clear,
    input  wire [ BEAT-1:0] s_axis_tdata,
    input  wire             s_axis_tlast,
    input  wire             s_axis_tvalid,
    output wire             s_axis_tready,
    // The array reads words of one buffer, the epilogue rows of one, and gives a buffer back. Tiles that
    // have been loaded are counted, modulo 256: a buffer is full before and after its next tile comes.
    input  wire             s_word_buffer,
    input  wire [     11:0] s_word,
    output wire [ WORD-1:0] m_word,
    input  wire             s_row_buffer,
    input  wire [      7:0] s_row,
    output wire [     63:0] m_row,
    input  wire             s_release,
    output reg  [      7:0] m_loaded,
    output reg              m_early,
    output reg              m_late,
    output reg              m_foreign
);

  localparam BEATS4 = (WORD4 + BEAT - 1) / BEAT;
  localparam BEATS8 = (WORD8 + BEAT - 1) / BEAT;
  localparam BEATS = BEATS8 > BEATS4 ? BEATS8 : BEATS4;
  localparam ROWS_A_BEAT = BEAT / 64;
  localparam ROW_BEATS = (ROWS + ROWS_A_BEAT - 1) / ROWS_A_BEAT;

  generate
    if (BEAT < 64 || BEAT % 64 != 0) begin : g_illegal_beat
      BEAT_must_be_a_multiple_of_64 stop ();
    end
    if (BEATS > 256) begin : g_illegal_beats
      BEAT_must_bring_a_word_within_256_beats stop ();
    end
    if (BEATS * BEAT < WORD) begin : g_illegal_word
      WORD_must_be_WORD4_or_WORD8 stop ();
    end
  endgenerate

  localparam [7:0] LAST_BEAT4 = BEATS4[7:0] - 8'd1, LAST_BEAT8 = BEATS8[7:0] - 8'd1;
  localparam [8:0] ROWS_EACH = ROWS_A_BEAT[8:0];
  // Where the second buffer begins.
  localparam [15:0] SECOND_WORD = WORDS[15:0], SECOND_ROW = ROW_BEATS[15:0];

  localparam HEAD = 2'd0, BODY = 2'd1, TAIL = 2'd2, HALT = 2'd3;
  reg [1:0] state;
  reg open, filling, releasing;
  reg [1:0] full;
  reg [31:0] number;
  reg [11:0] words, word;
  reg [7:0] rows, row;
  reg mode8, final_tile;
  reg [7:0] beat;
  reg [BEATS*BEAT-1:0] gathered;

  assign s_axis_tready = open && state != HALT && !(state == HEAD && full[filling]);
  wire taken = s_axis_tvalid && s_axis_tready;
  wire word_done = state == BODY && taken && beat == (mode8 ? LAST_BEAT8 : LAST_BEAT4);
  wire [8:0] row_next = {1'b0, row} + ROWS_EACH;
  wire tile_done = state == TAIL && taken && row_next >= {1'b0, rows};
  wire image_done = tile_done && final_tile;

  integer n;
  reg [BEATS*BEAT-1:0] complete;
  always @* begin
    complete = gathered;
    for (n = 0; n < BEATS; n = n + 1) if (beat == n[7:0]) complete[n*BEAT+:BEAT] = s_axis_tdata;
  end

  always @(posedge aclk) begin
    open <= aresetn;
    if (taken) gathered <= complete;
    if (!aresetn || s_clear) begin
      state <= HEAD;
      filling <= 1'b0;
      releasing <= 1'b0;
      number <= 32'd0;
      full <= 2'b00;
      m_loaded <= 8'd0;
      m_early <= 1'b0;
      m_late <= 1'b0;
      m_foreign <= 1'b0;
      beat <= 8'd0;
    end else begin
      if (s_release) begin
        full[releasing] <= 1'b0;
        releasing <= ~releasing;
      end
      if (taken) begin
        case (state)
          HEAD: begin
            words <= s_axis_tdata[43:32] - 12'd1;
            mode8 <= s_axis_tdata[44];
            final_tile <= s_axis_tdata[45];
            rows <= s_axis_tdata[55:48];
            word <= 12'd0;
            row <= 8'd0;
            state <= BODY;
            if (s_axis_tdata[31:0] != number) begin
              m_foreign <= 1'b1;
              state <= HALT;
            end
          end
          BODY: begin
            beat <= word_done ? 8'd0 : beat + 8'd1;
            if (word_done) begin
              word <= word + 12'd1;
              if (word == words) state <= TAIL;
            end
          end
          default: begin
            row <= row_next[7:0];
            if (tile_done) begin
              full[filling] <= 1'b1;
              m_loaded <= m_loaded + 8'd1;
              filling <= ~filling;
              number <= final_tile ? 32'd0 : number + 32'd1;
              state <= HEAD;
            end
          end
        endcase
        if (s_axis_tlast && !image_done) begin
          m_early <= 1'b1;
          state   <= HALT;
        end
        if (!s_axis_tlast && image_done) begin
          m_late <= 1'b1;
          state  <= HALT;
        end
      end
    end
  end

  engine_memory #(
      .WORDS(2 * WORDS), .BITS(WORD), .ADDRESS(16)
  ) buffer (
      .aclk(aclk),
      .s_write(word_done),
      .s_address((filling ? SECOND_WORD : 16'd0) + {4'd0, word}),
      .s_data(complete[WORD-1:0]),
      .s_read((s_word_buffer ? SECOND_WORD : 16'd0) + {4'd0, s_word}),
      .m_data(m_word)
  );

  // A row's beat, and its place in it, which is needed a cycle later.
  wire [8:0] write_beat = {1'b0, row} / ROWS_EACH;
  wire [8:0] read_beat = {1'b0, s_row} / ROWS_EACH;
  wire [8:0] place = {1'b0, s_row} % ROWS_EACH;
  wire [BEAT-1:0] pair;
  reg [8:0] chosen;
  always @(posedge aclk) chosen <= place;
  engine_memory #(
      .WORDS(2 * ROW_BEATS), .BITS(BEAT), .ADDRESS(16)
  ) parameters (
      .aclk(aclk),
      .s_write(state == TAIL && taken),
      .s_address((filling ? SECOND_ROW : 16'd0) + {7'd0, write_beat}),
      .s_data(s_axis_tdata),
      .s_read((s_row_buffer ? SECOND_ROW : 16'd0) + {7'd0, read_beat}),
      .m_data(pair)
  );
  assign m_row = pair[chosen*64+:64];

endmodule

`default_nettype wire

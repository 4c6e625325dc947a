// A memory of one write port and one read port: m_data is the word at s_read, one cycle later. Nobody uses
// a word that is read in the cycle in which it is written: blocks need not say what comes then. INIT names a
// file of hexadecimal words that it begins with.
//
// Block memories hold it where it has more than DEEP words and at least LARGE bits, LUTs where not: a rule
// of its parameters alone, so that its blocks are known before synthesis (hwnorm/cost/blocks.py). ROM says
// that nothing is ever written: then there are no LUTs of memory, but logic.

`default_nettype none

module engine_memory #(
    parameter WORDS   = 256,
    parameter BITS    = 8,
    parameter ADDRESS = 16,
    parameter INIT    = "",
    parameter ROM     = 0,
    parameter DEEP    = 128,
    parameter LARGE   = 4096
) (
    input  wire               aclk,
    input  wire               s_write,
    input  wire [ADDRESS-1:0] s_address,
    input  wire [   BITS-1:0] s_data,
    input  wire [ADDRESS-1:0] s_read,
    output reg  [   BITS-1:0] m_data
);

  localparam INDEX = WORDS > 1 ? $clog2(WORDS) : 1;

  generate
    if (WORDS < 1 || INDEX > ADDRESS) begin : g_illegal_words
      WORDS_must_be_addressed stop ();
    end
  endgenerate

  // An address has room for more words than there are.
  wire unused = &{1'b0, s_address, s_read};

  generate
    if (WORDS > DEEP && WORDS * BITS >= LARGE) begin : g_block
      (* ram_style = "block", syn_ramstyle = "block_ram", no_rw_check *)
      reg [BITS-1:0] words[0:WORDS-1];
      if (INIT != "") begin : g_init
        initial $readmemh(INIT, words);
      end
      always @(posedge aclk) begin
        if (s_write) words[s_address[INDEX-1:0]] <= s_data;
        m_data <= words[s_read[INDEX-1:0]];
      end
    end else if (ROM) begin : g_logic
      (* syn_romstyle = "logic" *)
      reg [BITS-1:0] words[0:WORDS-1];
      wire unused_write = &{1'b0, s_write, s_data};
      if (INIT != "") begin : g_init
        initial $readmemh(INIT, words);
      end
      always @(posedge aclk) m_data <= words[s_read[INDEX-1:0]];
    end else begin : g_distributed
      (* ram_style = "distributed", syn_ramstyle = "distributed" *)
      reg [BITS-1:0] words[0:WORDS-1];
      if (INIT != "") begin : g_init
        initial $readmemh(INIT, words);
      end
      always @(posedge aclk) begin
        if (s_write) words[s_address[INDEX-1:0]] <= s_data;
        m_data <= words[s_read[INDEX-1:0]];
      end
    end
  endgenerate

endmodule

`default_nettype wire

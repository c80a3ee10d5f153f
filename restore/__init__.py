"""One photo's way through, then many photos' way. The files in the order a photo meets them:

recipe      what to do to a photo
errors      what can go wrong, in two kinds
item        one row of the plan
command_line  settings from argv
identity    version tokens, hashes, work keys
storage     bytes in and out of any store
codec       bytes <-> pixels
mask        which pixels are damaged
windows     damage -> the windows to paint, and back
canvas      margins to be outpainted
srgb        any scan's window -> 8-bit sRGB, and back
engines/    whatever paints
route       which engine repairs which damage
composite   painted windows -> the photo, known pixels bit-identical
paste       the two before it, over all windows of a photo
figures     what can be measured of the result
provenance  what the result says of its own making
proof       that no known pixel changed in the file that is stored
outcome     the photo's metadata row
thumbs      its small pictures for the report
room        a node's memory, shared out to large photos
photo       the story of one photo: prepare -> paint -> finish
estimate    what painting many would take
weights     a model's name -> a verified local directory
choice      the engines of a run, their weights and hashes
roster      which worker is at which photo, and which photo kills its workers
timer       ends a worker whose photo takes too long
ahead       a block's inputs, read before their turn
attendance  one step over a block of photos, each reported to the roster
meters      what monitoring sees of a run, as metrics
flow        the Ray Data pipeline over many photos
budget      whether failures are the photos' own or the world's
ledger      lease, rows in parts, progress, error budget, run record
album       the small pictures that the report will show
report      a run as a page to look at
"""

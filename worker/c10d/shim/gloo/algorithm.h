// Stand-in: the libtorch wheel ships the header of ProcessGroupGloo without Gloo's own. Pointers need no more.
#pragma once

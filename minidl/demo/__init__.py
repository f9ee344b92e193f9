"""One file to send: a page with a small network inside, which runs in a browser without a server or a connection.

    html = page(model)                           # of LeNet-5 or the simple CNN, for example

`program.py` lists what the network does, `network.js` does it, `page.html` and `page.js` are the page around it.
"""

from minidl.demo.program import page

__all__ = ["page"]

"""The engine `heal`: a healing brush. A membrane gives tones, patches from nearby give structure and texture.

engine      tasks -> painted windows
texture     the whole repair of one window, and the gains of what is laid on the membrane
membrane    the smooth fill
stretches   the damage in parts of about 40 px
patches     the sources of each part, and their laying
compiled    numba's compiler
"""

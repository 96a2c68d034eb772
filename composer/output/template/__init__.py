"""Go's template language (text/template), as `--format` has it: parse_template makes a tree, render fills it in. Pure.

Of the language everything is here but `define`, `template` and `block`, which one line has no use for, and the
functions `call`, `html` and `js`.

```
text ──lexer──► tokens ──parser──► nodes ──evaluate(functions, printing)──► text
```
"""

from composer.output.template.errors import TemplateError
from composer.output.template.evaluate import render
from composer.output.template.functions import call
from composer.output.template.parser import parse_template
from composer.output.template.values import NIL_LIST, Record

__all__ = ["NIL_LIST", "Record", "TemplateError", "call", "parse_template", "render"]

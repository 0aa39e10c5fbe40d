(** The golden law, atoms -1.3, 0.2, 1.1 with weights .2, .5, .3: its KL at three gaps, enclosed by interval arithmetic, and its chi^2.

    The integral over the line is that over [-30, 30], which Interval encloses, and tails that a lemma bounds. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Singdiffusion Require Import Base Gaussian Space Mixture Divergence Formulas B Posterior GaussianValue.
Local Open Scope R_scope.

Definition pick (a b c : R) (i : nat) : R := match i with O => a | 1 => b | _ => c end.
Definition golden_p : nat -> R := pick (2 / 10) (5 / 10) (3 / 10).
Definition golden_y : nat -> vec := fun i _ => pick (- (13 / 10)) (2 / 10) (11 / 10) i.

Lemma golden_weights : weights 3 golden_p.
Proof. split; [|simpl; lra]. intros i Hi. destruct i as [|[|i]]; simpl; lra. Qed.

(** The ratio r, written out: q is the root of the gap *)
Definition gr (q x : R) : R :=
  2 / 10 * exp (- (147 / 100) * q * x - (147 / 100 * q) ^ 2 / 2) + 5 / 10 * exp (3 / 100 * q * x - (3 / 100 * q) ^ 2 / 2)
  + 3 / 10 * exp (93 / 100 * q * x - (93 / 100 * q) ^ 2 / 2).

Lemma golden_mix g u x : u 0%nat = x -> mix 1 3 golden_p (shift 3 golden_p golden_y g) u = gr (sqrt g) x.
Proof.
  intros <-. assert (Ra : forall a, ratio 1 a u = exp (a 0%nat * u 0%nat - a 0%nat ^ 2 / 2)) by (intros; unfold ratio, sq, dot; simpl; f_equal; field).
  assert (Sh : forall i, shift 3 golden_p golden_y g i 0%nat = sqrt g * (pick (- (13 / 10)) (2 / 10) (11 / 10) i - 17 / 100)).
  { intros i. unfold shift, xi, mean, vsum, vscal, vminus, golden_y, golden_p. simpl. field. }
  unfold mix. simpl. rewrite !Ra, !Sh. unfold gr. simpl pick. rewrite Rplus_0_l.
  f_equal; [f_equal|]; (f_equal; f_equal; field).
Qed.

Lemma gr_pos q x : 0 < gr q x.
Proof. unfold gr. repeat apply Rplus_lt_0_compat; apply Rmult_lt_0_compat; try lra; apply exp_pos. Qed.

Definition integrand (q x : R) : R := gr q x * ln (gr q x) * w x.

Lemma golden_KL g : KL 1 3 golden_p (shift 3 golden_p golden_y g) = RI (integrand (sqrt g)) / sqrt (2 * PI).
Proof.
  unfold KL. simpl. unfold E1. rewrite gauss_integral. f_equal. f_equal. apply functional_extensionality. intros x.
  rewrite (golden_mix g _ x) by reflexivity. reflexivity.
Qed.

(** Tails: for q <= 2/3 the shifts are below 1, and the integrand is below exp(9/2) exp(-|x|). *)
Lemma gr_bounds q x : 0 <= q <= 2 / 3 -> exp (- (Rabs x + 1 / 2)) <= gr q x <= exp (Rabs x).
Proof.
  intros Hq. pose proof (Rabs_pos x). pose proof (Rle_abs x). pose proof (Rle_abs (- x)). rewrite Rabs_Ropp in *.
  assert (T : forall c, -1 <= c <= 1 -> exp (- (Rabs x + 1 / 2)) <= exp (c * x - c ^ 2 / 2) <= exp (Rabs x)).
  { intros c Hc. assert (c ^ 2 <= 1) by nra. assert (0 <= c ^ 2) by apply pow2_ge_0. split; apply exp_le_mono; nra. }
  assert (T1 := T (- (147 / 100) * q) ltac:(lra)). assert (T2 := T (3 / 100 * q) ltac:(lra)). assert (T3 := T (93 / 100 * q) ltac:(lra)).
  unfold gr. replace ((147 / 100 * q) ^ 2) with ((- (147 / 100) * q) ^ 2) by ring. lra.
Qed.

Lemma integrand_dom q x : 0 <= q <= 2 / 3 -> Rabs (integrand q x) <= exp (9 / 2) * exp (- Rabs x).
Proof.
  intros Hq. destruct (gr_bounds q x Hq) as [L U]. pose proof (gr_pos q x) as P. pose proof (Rabs_pos x).
  unfold integrand. rewrite Rabs_mult, (Rabs_right (w x)) by (left; apply w_pos). rewrite Rabs_mult, (Rabs_right (gr q x)) by lra.
  assert (Hl : Rabs (ln (gr q x)) <= exp (Rabs x)).
  { apply Rle_trans with (Rabs x + 1 / 2); [|pose proof (exp_ge (Rabs x)); lra].
    apply Rabs_le. split; [|].
    - apply ln_le_mono in L; [|apply exp_pos]. rewrite ln_exp in L. lra.
    - apply ln_le_mono in U; auto. rewrite ln_exp in U. lra. }
  apply Rle_trans with (exp (2 * Rabs x) * w x).
  - apply Rmult_le_compat_r; [left; apply w_pos|]. replace (2 * Rabs x) with (Rabs x + Rabs x) by ring. rewrite exp_plus.
    apply Rmult_le_compat; auto; [lra|apply Rabs_pos].
  - pose proof (w_dom 2 x) as D. replace ((2 + 1) ^ 2 / 2) with (9 / 2) in D by field. exact D.
Qed.

Lemma integrand_cont q x : continuous (integrand q) x.
Proof.
  apply (ex_derive_continuous (integrand q)). unfold integrand. pose proof (gr_pos q x) as P.
  assert (D : ex_derive (gr q) x) by (unfold gr; auto_derive; auto).
  apply ex_derive_mult; [apply ex_derive_mult; auto; apply (ex_derive_comp ln (gr q)); auto; auto_derive; auto|unfold w; auto_derive; auto].
Qed.

Lemma golden_tail q : 0 <= q <= 2 / 3 -> Rabs (RInt (integrand q) (-30) 30 - RI (integrand q)) <= 2 * exp (9 / 2) * exp (- 30).
Proof.
  intros Hq. apply (RI_tail (integrand q) (exp (9 / 2)) (integrand_cont q) (Rlt_le _ _ (exp_pos _)) (fun x => integrand_dom q x Hq) 30 (-30) 30); lra.
Qed.

Lemma golden_enclosure g v e : 0 <= sqrt g <= 2 / 3 -> Rabs (RInt (integrand (sqrt g)) (-30) 30 - v * sqrt (2 * PI)) <= e ->
  Rabs (KL 1 3 golden_p (shift 3 golden_p golden_y g) - v) <= e + 1 / 10 ^ 9.
Proof.
  intros Hq H. rewrite golden_KL. pose proof (golden_tail (sqrt g) Hq) as Tl. set (S := sqrt (2 * PI)) in *.
  assert (HS : 1 <= S) by (unfold S; interval). assert (Ht : 2 * exp (9 / 2) * exp (- 30) <= 1 / 10 ^ 9) by interval.
  replace (RI (integrand (sqrt g)) / S - v) with ((RI (integrand (sqrt g)) - v * S) / S) by (field; lra).
  unfold Rdiv. rewrite Rabs_mult, (Rabs_right (/ S)) by (left; apply Rinv_0_lt_compat; lra).
  apply Rle_trans with (Rabs (RI (integrand (sqrt g)) - v * S)).
  - rewrite <- (Rmult_1_r (Rabs _)) at 2. apply Rmult_le_compat_l; [apply Rabs_pos|]. rewrite <- Rinv_1. apply Rinv_le_contravar; lra.
  - replace (RI (integrand (sqrt g)) - v * S) with ((RInt (integrand (sqrt g)) (-30) 30 - v * S) - (RInt (integrand (sqrt g)) (-30) 30 - RI (integrand (sqrt g)))) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra.
Qed.

(** The three golden values of KL in nats, to 1e-8 *)
Ltac enclose := unfold integrand, gr, w; integral with (i_prec 50, i_width (-27), i_fuel 2000, i_degree 15).

Theorem Golden_kl_03 : Rabs (KL 1 3 golden_p (shift 3 golden_p golden_y (3 / 10)) - 0.0097027719) <= / 10 ^ 8.
Proof. apply Rle_trans with (8 / 10 ^ 9 + 1 / 10 ^ 9); [|lra]. apply golden_enclosure; [interval|enclose]. Qed.

Theorem Golden_kl_01 : Rabs (KL 1 3 golden_p (shift 3 golden_p golden_y (1 / 10)) - 0.0011557832) <= / 10 ^ 8.
Proof. apply Rle_trans with (8 / 10 ^ 9 + 1 / 10 ^ 9); [|lra]. apply golden_enclosure; [interval|enclose]. Qed.

Theorem Golden_kl_001 : Rabs (KL 1 3 golden_p (shift 3 golden_p golden_y (1 / 100)) - 0.0000119328) <= / 10 ^ 8.
Proof. apply Rle_trans with (8 / 10 ^ 9 + 1 / 10 ^ 9); [|lra]. apply golden_enclosure; [interval|enclose]. Qed.

(** chi^2 at every gap, exactly *)
Definition golden_chi2 (g : R) : R :=
  4 / 100 * exp (g * (147 / 100) ^ 2) + 25 / 100 * exp (g * (3 / 100) ^ 2) + 9 / 100 * exp (g * (93 / 100) ^ 2)
  + 20 / 100 * exp (- g * (147 / 100 * (3 / 100))) + 12 / 100 * exp (- g * (147 / 100 * (93 / 100))) + 30 / 100 * exp (g * (3 / 100 * (93 / 100))) - 1.

Theorem Golden_chi2_exact g : 0 <= g -> chi2 1 3 golden_p (shift 3 golden_p golden_y g) = golden_chi2 g.
Proof.
  intros Hg. rewrite (B1_chi2 1 3 golden_p golden_y g golden_weights Hg).
  assert (D : forall i j, g * dot 1 (xi 3 golden_p golden_y i) (xi 3 golden_p golden_y j)
     = g * ((pick (- (147 / 100)) (3 / 100) (93 / 100) i) * (pick (- (147 / 100)) (3 / 100) (93 / 100) j))).
  { intros i j. unfold dot, xi, mean, vsum, vscal, vminus, golden_y, golden_p. simpl.
    destruct i as [|[|i]]; destruct j as [|[|j]]; simpl; field. }
  simpl. rewrite !D. unfold golden_p, golden_chi2. simpl pick.
  replace (g * (- (147 / 100) * - (147 / 100))) with (g * (147 / 100) ^ 2) by ring.
  replace (g * (- (147 / 100) * (3 / 100))) with (- g * (147 / 100 * (3 / 100))) by ring.
  replace (g * (- (147 / 100) * (93 / 100))) with (- g * (147 / 100 * (93 / 100))) by ring.
  replace (g * (3 / 100 * - (147 / 100))) with (- g * (147 / 100 * (3 / 100))) by ring.
  replace (g * (93 / 100 * - (147 / 100))) with (- g * (147 / 100 * (93 / 100))) by ring.
  replace (g * (93 / 100 * (3 / 100))) with (g * (3 / 100 * (93 / 100))) by ring.
  replace (g * (3 / 100 * (3 / 100))) with (g * (3 / 100) ^ 2) by ring.
  replace (g * (93 / 100 * (93 / 100))) with (g * (93 / 100) ^ 2) by ring.
  field.
Qed.

Theorem Golden_chi2_03 : Rabs (golden_chi2 (3 / 10) - 0.0227392040843482) <= / 10 ^ 15.
Proof. unfold golden_chi2. interval with (i_prec 80). Qed.
